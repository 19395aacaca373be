import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { certificateText } from '../../packages/core/src/rotation/certificate.ts'
import { useDatabase } from '../harness/postgres.ts'
import { writeOld } from '../rotation/world.ts'
import { environment, fast, opened, refill } from './world.ts'

const server = useDatabase()
const mark = 'sk_live_MARKED'

test.each(['online', 'transaction'] as const)(
  'No secret leaves: not in a certificate, a checkpoint, an event or what the signing key prints (%s)',
  async (mode) => {
    await refill(server.pool, 0)
    const values = [
      ...Array.from({ length: 9 }, (_, n) => writeOld(`${mark} ${n}`) as string),
      `${mark} never encrypted`,
      `kt1.aaaaaaaa.${mark}`,
    ]
    for (const [id, value] of values.entries()) await server.pool.query('INSERT INTO tokens VALUES ($1, $2)', [id, value])
    const lines: string[] = []
    await opened(
      server.pool,
      async (keyturn) => {
        const result = await keyturn.rotate('app', { ...fast, mode, setAside: true })
        expect(result).toMatchObject({ rotated: 9, failedCount: 2 })
        await keyturn.rotate('app', { ...fast, fields: ['none'] }).catch((error) => lines.push(inspect(error)))
        await keyturn.audit.checkpoint()
        const certificates = await keyturn.certificates()
        expect(certificates).toHaveLength(1)
        for (const { certificate } of certificates) lines.push(certificateText(certificate))
        for await (const event of keyturn.audit.events()) lines.push(JSON.stringify(event))
        lines.push(inspect(keyturn, { depth: 20, showHidden: true }), inspect(result, { depth: 20 }), JSON.stringify(keyturn))
        const { rows } = await server.pool.query('SELECT token FROM tokens')
        const seed = Buffer.from(environment.SIGNING_KEY, 'hex')
        const secrets = [
          mark,
          ...values.map((value) => value.slice(12, 44)),
          ...rows.map(({ token }) => String(token).slice(13, 43)),
          ...Object.values(environment),
          ...Object.values(environment).map((key) => Buffer.from(key, 'hex').toString('base64').slice(0, 40)),
          seed.toString('base64url'),
          new URL(server.url).password,
        ].filter((secret) => secret.length >= 8)
        const text = lines.join('\n')
        expect(text.length).toBeGreaterThan(3_000)
        for (const secret of secrets) expect(text.includes(secret)).toBe(false)
      },
      { sink: (line) => lines.push(line) },
    )
  },
)
