import { fail, fieldNeeding, type HashedTokens, type TokenCounts } from '@keyturn/core'
import { type Call, print, say } from '../call.ts'
import { findConfig } from '../config-file.ts'
import { type Exit, exit } from '../exit.ts'
import { oneLine } from '../printable.ts'
import { assertAgreeable, interruptible, throttle, typed } from '../run.ts'
import { count, number } from '../screens/words.ts'
import { type Session, withSession } from '../session.ts'

/** Hashes the tokens of a column; has its name typed first, unless told --yes, because nothing gives them back. */
export default async function hashTokens(call: Call): Promise<number> {
  assertAgreeable(call, 'hash-tokens')
  throttle(call.options)
  const [column = ''] = call.args
  await assertNoField(call, column)
  const { mark, yes } = call.options
  const marks = mark === undefined ? {} : { mark }
  return await withSession(call, 'record', async (session) => {
    const before = await session.keyturn.countTokens(column, marks)
    if (!yes && before.plain > 0) {
      say(call, oneLine(warning(column, before)))
      if (!(await typed(session, column))) {
        print(call, null, 'Nothing was changed.')
        return exit.refused
      }
    }
    return await session.write((writing) => run(call, writing, { column, marks }))
  })
}

function warning(column: string, { plain, hashed }: TokenCounts): string {
  return `${column}: ${count(plain, 'token')} in the clear, ${number(hashed)} hashed. Every instance of the application must look tokens up by both forms (tokenForms). This cannot be undone: nothing gives a token back.`
}

interface Hashing {
  readonly column: string
  readonly marks: { readonly mark?: string }
}

async function run(call: Call, { keyturn }: Session, { column, marks }: Hashing): Promise<Exit> {
  const refusal = call.options.refusePlain ? { refusePlain: true } : {}
  const { result, stopped } = await interruptible(call, ({ signal, throttle: limit }) =>
    keyturn.hashTokens(column, {
      ...marks,
      ...refusal,
      ...(signal === undefined ? {} : { signal }),
      ...(limit === undefined ? {} : { throttle: limit }),
      onHashed: () => {
        call.attempted = true
      },
    }),
  )
  call.attempted = true
  print(call, result, screen(result))
  if (result.now.plain === 0) return exit.done
  return stopped ? exit.paused : exit.remain
}

function screen({ column, hashed, now, constraint }: HashedTokens): string {
  return [
    oneLine(`${count(hashed, 'token')} of ${column} hashed; ${number(now.hashed)} are hashed now, ${number(now.plain)} in the clear.`),
    ...(now.plain > 0 ? ['What is left was locked, refused by the database, or written meanwhile. Give the command again.'] : []),
    ...(constraint === null
      ? []
      : [oneLine(`The database refuses tokens in the clear (constraint ${constraint}) and has checked every row.`)]),
  ].join('\n')
}

/** The database is opened without the fields of the configuration, because no key is needed. */
async function assertNoField({ io, options }: Call, column: string): Promise<void> {
  const needed = fieldNeeding((await findConfig(io.cwd, options.config))?.config.fields ?? {}, column)
  if (needed !== null) throw fail('ERR_TOKEN_COLUMN', column, needed)
}
