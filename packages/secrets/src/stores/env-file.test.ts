import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chmod, chown, link, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { afterAll, describe, expect, test } from 'vitest'
import { storeConformance } from '../../../../test/conformance/secrets/store.ts'
import { kindOf } from '../outside/failure.ts'
import type { Call } from '../secret/call.ts'
import envFile, { options } from './env-file.ts'

const folder = await mkdtemp(join(tmpdir(), 'keyturn-env-'))
let made = 0
const call = (signal = new AbortController().signal): Call => ({ secret: 'dsn', attempt: randomUUID(), signal })

afterAll(() => rm(folder, { recursive: true }))

async function fileOf(text: string | null, mode = 0o600): Promise<string> {
  const path = join(folder, `env-${++made}`)
  if (text !== null) await writeFile(path, text, { mode })
  return path
}
const write = async (path: string, values: Record<string, string | null>) => {
  await envFile({ path }).write(call(), values)
  return readFile(path, 'utf8')
}

storeConformance('env-file', async () => {
  const path = await fileOf('# the shop\nPORT=80\nKEY=\n')
  const lines = async () => (await readFile(path, 'utf8')).split('\n').filter((line) => line !== '')
  return {
    config: { store: 'env-file', path },
    names: ['KEY', 'PREVIOUS_KEY'],
    read: async () => Object.fromEntries((await lines()).filter((line) => /KEY=/.test(line)).map((line) => line.split('='))),
    others: async () => (await lines()).filter((line) => !/KEY=/.test(line)),
    close: async () => {},
  }
})

describe('what is written', () => {
  test('values change where they stand; comments, order, quotes, spaces and line ends stay', async () => {
    const path = await fileOf('# the shop\r\nA=1 # one\r\nexport B = \'two\'\r\n\r\nC="3"\r\n  D=4\r\n# A=0\r\n')
    expect(await write(path, { A: 'a', B: 'b', C: 'c', D: 'd' })).toBe(
      '# the shop\r\nA=a # one\r\nexport B = \'b\'\r\n\r\nC="c"\r\n  D=d\r\n# A=0\r\n',
    )
  })

  test('a new name comes at the end, and one without a value goes with its line', async () => {
    expect(await write(await fileOf('A=1\nOLD=2\nB=3'), { NEW: 'n', OLD: null, NEVER: null })).toBe('A=1\nB=3\nNEW=n\n')
    expect(await write(await fileOf(null), { ONLY: 'x' })).toBe('ONLY=x\n')
  })

  test('a name that is there twice changes everywhere: no old value stays', async () => {
    expect(await write(await fileOf('A=1\nA=2\n'), { A: '3' })).toBe('A=3\nA=3\n')
  })

  test('a name inside the lines of another value is not touched', async () => {
    const pem = 'KEY="-----BEGIN\nA=1\n-----END"\n'
    expect(await write(await fileOf(`${pem}A=1\n`), { A: '2' })).toBe(`${pem}A=2\n`)
  })

  test.each(['postgres://u:p-_.~@db:5432/x?a=b&c=d%20', 'a b#c', 'it is "so"', "it's", '$HOME', 'back\\slash', '~/x:~/y', 'a"b`c', ''])(
    'what was written is read: %s',
    async (value) => {
      const path = await fileOf('A=old\nB=\'old\'\nC="old" # note\n')
      const values = { A: value, B: value, C: value, D: value }
      await write(path, values)
      const held = await envFile({ path }).look(call(), ['A', 'B', 'C', 'D', 'E'])
      expect(held).toEqual({ A: { value }, B: { value }, C: { value }, D: { value }, E: null })
      // As others read it: a shell, and the parser of Node, which is that of dotenv.
      const script = '. "$1" && printf "%s|%s|%s|%s" "$A" "$B" "$C" "$D"'
      expect(execFileSync('sh', ['-c', script, 'sh', path], { encoding: 'utf8' })).toBe(Array(4).fill(value).join('|'))
      expect(parseEnv(await readFile(path, 'utf8'))).toEqual(values)
    },
  )

  test('a name behind a byte order mark is found: no second line of it is made', async () => {
    expect(await write(await fileOf('\ufeffA=1\nB=2\n'), { A: 'new' })).toBe('\ufeffA=new\nB=2\n')
    expect(await write(await fileOf('\ufeffA=1\nB=2\n'), { A: null })).toBe('\ufeffB=2\n')
  })

  test.each(['with\nbreak', 'with\rbreak', 'all \' " kinds', 'quotes that end\\'])(
    'a value that readers would read differently is refused: %j',
    async (value) => {
      const path = await fileOf('A=1\n')
      const refusal = await envFile({ path })
        .write(call(), { A: value })
        .catch((error: Error) => error)
      expect(refusal).toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
      expect(String(refusal)).not.toContain(value)
      expect(await readFile(path, 'utf8')).toBe('A=1\n')
    },
  )
})

describe('the file', () => {
  test('keeps its mode; a new one is for its owner only', async () => {
    const path = await fileOf('A=1\n')
    await chmod(path, 0o640)
    await write(path, { A: '2' })
    const fresh = await fileOf(null)
    await write(fresh, { A: '2' })
    expect([(await stat(path)).mode & 0o777, (await stat(fresh)).mode & 0o777]).toEqual([0o640, 0o600])
  })

  test('behind a link changes, and the link stays', async () => {
    const path = await fileOf('A=1\n')
    await symlink(path, `${path}.link`)
    await envFile({ path: `${path}.link` }).write(call(), { A: '2' })
    expect(await readFile(path, 'utf8')).toBe('A=2\n')
  })

  test('is not written again when nothing changes', async () => {
    const path = await fileOf('A=1\n')
    const { ino } = await stat(path)
    await write(path, { A: '1' })
    expect((await stat(path)).ino).toBe(ino)
  })

  test('has nothing beside it afterwards, also what a crash left there', async () => {
    const path = await fileOf('A=1\n')
    const name = path.slice(folder.length + 1)
    await writeFile(join(folder, `.${name}.keyturn-${randomUUID()}`), 'A=of a crash\n')
    await write(path, { A: '2' })
    expect((await readdir(folder)).filter((file) => file.includes(name))).toEqual([name])
  })

  test('is changed by one after another: nothing is lost', async () => {
    const path = await fileOf('')
    await Promise.all(Array.from({ length: 8 }, (_, index) => envFile({ path }).write(call(), { [`N${index}`]: String(index) })))
    expect((await readFile(path, 'utf8')).trim().split('\n').sort()).toEqual(Array.from({ length: 8 }, (_, index) => `N${index}=${index}`))
  })

  test('with the lock of a process that lives is busy; that of one that died is taken away', async () => {
    const path = await fileOf('A=1\n')
    const lock = (pid: number) => writeFile(`${path}.keyturn-lock`, JSON.stringify({ pid, host: hostname(), token: randomUUID() }))
    await lock(process.ppid)
    const busy = await envFile({ path })
      .write(call(AbortSignal.timeout(200)), { A: '2' })
      .catch((error: unknown) => error)
    expect(busy).toMatchObject({ code: 'ERR_OUTSIDE_BUSY' })
    // No system gives out a pid like this.
    await lock(2 ** 22 + 1)
    expect(await write(path, { A: '2' })).toBe('A=2\n')
  })

  test('that git tracks is refused; one that it does not ignore is a warning', async () => {
    const repository = await mkdtemp(join(folder, 'repository-'))
    const git = (...args: string[]) => execFileSync('git', ['-C', repository, ...args], { stdio: 'pipe' })
    git('init')
    await writeFile(join(repository, 'tracked'), 'A=1\n', { mode: 0o600 })
    git('add', 'tracked')
    const tracked = envFile({ path: join(repository, 'tracked') })
    await expect(tracked.write(call(), { A: '2' })).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
    expect(await tracked.check(call(), ['A'])).toMatchObject([{ severity: 'fault' }])
    const loose = envFile({ path: join(repository, 'loose') })
    expect(await loose.check(call(), ['A'])).toMatchObject([{ severity: 'warning' }])
    await writeFile(join(repository, '.gitignore'), 'loose\n')
    expect(await loose.check(call(), ['A'])).toEqual([])
  })

  test('that others may read is a warning; a folder that is not there and a name that is none are faults', async () => {
    const path = await fileOf('A=1\n')
    await chmod(path, 0o644)
    expect(await envFile({ path }).check(call(), ['A'])).toMatchObject([{ severity: 'warning' }])
    const faults = await envFile({ path: join(folder, 'no', 'env') }).check(call(), ['not good'])
    expect(faults.map(({ severity }) => severity)).toEqual(['fault', 'fault'])
    await expect(envFile({ path: join(folder, 'no', 'env') }).write(call(), { A: '1' })).rejects.toMatchObject({
      code: 'ERR_OUTSIDE_REFUSED',
    })
    await expect(envFile({ path: folder }).look(call(), ['A'])).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
  })
})

describe('what the file is to others', () => {
  const asNobody = async <T>(work: () => Promise<T>): Promise<T> => {
    process.setegid?.(65_534)
    process.seteuid?.(65_534)
    try {
      return await work()
    } finally {
      process.seteuid?.(0)
      process.setegid?.(0)
    }
  }
  /** A file in a folder that everybody may write in. */
  const sharedFile = async (mode: number, folderMode = 0o777): Promise<string> => {
    const shared = await mkdtemp(join(folder, 'shared-'))
    await chmod(folder, 0o711)
    await chmod(shared, folderMode)
    await writeFile(join(shared, 'env'), 'A=1\n')
    await chmod(join(shared, 'env'), mode)
    return join(shared, 'env')
  }
  const kindOfWrite = (path: string) =>
    envFile({ path })
      .write(call(), { A: 'new' })
      .then(() => 'done', kindOf)

  test('bytes that are no UTF-8 would be lost: the file is refused and stays as it is', async () => {
    const path = await fileOf(null)
    const bytes = Buffer.from('A=1\nOTHER=pa\xdfwort\n', 'latin1')
    await writeFile(path, bytes, { mode: 0o600 })
    expect(await kindOfWrite(path)).toBe('refused')
    expect(await readFile(path)).toEqual(bytes)
    expect(await envFile({ path }).check(call(), ['A'])).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining('UTF-8') }])
  })

  test('a file with a second name is refused: who reads it by that one would keep the old value', async () => {
    const path = await fileOf('A=1\n')
    await link(path, `${path}-second`)
    expect(await envFile({ path }).check(call(), ['A'])).toMatchObject([
      { severity: 'fault', sentence: expect.stringContaining('hard link') },
    ])
    expect(await kindOfWrite(path)).toBe('refused')
    expect(await readFile(`${path}-second`, 'utf8')).toBe('A=1\n')
  })

  test.runIf(process.geteuid?.() === 0).each([
    ['of somebody else, for a group of ours: it would be ours, and its owner might not read it any more', 1, 0o660, 'refused'],
    ['of somebody else, for everybody', 1, 0o664, 'done'],
    ['of our own', 65_534, 0o600, 'done'],
  ])('a file %s', async (_, uid, mode, kind) => {
    const path = await sharedFile(mode)
    await chown(path, uid, 65_534)
    const [found, came] = await asNobody(async () => [await envFile({ path }).check(call(), ['A']), await kindOfWrite(path)] as const)
    expect([came, found.some(({ severity }) => severity === 'fault')]).toEqual([kind, kind === 'refused'])
    expect(await readFile(path, 'utf8')).toBe(kind === 'done' ? 'A=new\n' : 'A=1\n')
    expect(await readdir(join(path, '..'))).toEqual(['env'])
  })

  test.runIf(process.geteuid?.() === 0)('what could not take the place of the file is not left beside it', async () => {
    // In a folder with the sticky bit nobody replaces what is of somebody else.
    const path = await sharedFile(0o604, 0o1777)
    expect(await asNobody(() => kindOfWrite(path))).toBe('refused')
    expect(await readdir(join(path, '..'))).toEqual(['env'])
  })

  test('git is asked without our variables, and runs no program that the repository names', async () => {
    const repository = await mkdtemp(join(folder, 'repository-'))
    const [told, hook, path] = [join(repository, 'told'), join(repository, 'hook.sh'), join(repository, 'env')]
    await writeFile(hook, `#!/bin/sh\necho ran >> '${told}'\nprintf 'token\\0/\\0'\n`, { mode: 0o700 })
    await writeFile(path, 'A=1\n', { mode: 0o600 })
    const git = (...args: string[]) => execFileSync('git', args, { cwd: repository, stdio: 'ignore' })
    git('init', '--quiet')
    git('add', 'env')
    git('config', 'core.fsmonitor', hook)
    git('update-index', '--fsmonitor')
    await rm(told, { force: true })
    git('ls-files')
    // Git itself runs it whenever it looks at its index.
    expect(await readFile(told, 'utf8')).toContain('ran')
    await rm(told)
    process.env.GIT_DIR = '/nowhere'
    try {
      expect(await kindOfWrite(path)).toBe('refused')
    } finally {
      delete process.env.GIT_DIR
    }
    await expect(readFile(told)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

test('options that cannot work are refused', () => {
  expect(options.safeParse({ path: '' }).success).toBe(false)
  expect(options.safeParse({ path: '.env', more: 1 }).success).toBe(false)
})
