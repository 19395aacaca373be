import { z } from 'zod'
import { bodyOf } from '../outside/body.ts'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { googleCode, googleToken } from '../outside/google-login.ts'
import { type Answer, ask } from '../outside/http.ts'
import type { Call, Finding, World } from '../secret/call.ts'
import { httpUrl, secretRef } from '../secret/options.ts'
import type { Store } from '../secret/store.ts'
import { jsonMembers, singleValue } from './document/document.ts'

const secretName = /^[\w-]{1,255}$/

export const options = z.strictObject({
  project: z.string().regex(/^[a-z0-9:.-]+$/, { error: 'expected the id of a project' }),
  /**
   * A secret whose value is a JSON object, with the names as its members: they change together. Unless given, the only name is that of the
   * secret itself.
   */
  secret: z.string().regex(secretName, { error: 'expected letters, digits, underscores and hyphens' }).optional(),
  /** The alias by which consumers read, such as `current`; `latest` unless given. */
  alias: z
    .string()
    .regex(/^(?!latest$|NEW$)[A-Za-z][\w-]{0,62}$/, { error: 'expected a name of letters, digits, underscores and hyphens, not "latest"' })
    .optional(),
  /** The key file of a service account with the roles "Secret Manager Secret Version Adder" and "Accessor", and for an alias "Admin". */
  admin: secretRef,
  endpoint: httpUrl.default('https://secretmanager.googleapis.com'),
  token: httpUrl.default('https://oauth2.googleapis.com/token'),
})

const secretSchema = z.object({
  name: z.string(),
  etag: z.string().optional(),
  versionAliases: z.record(z.string(), z.string()).default({}),
})
const versionSchema = z.object({ name: z.string() })
const versionsSchema = z.object({ versions: z.array(versionSchema).default([]) })
const accessSchema = z.object({ name: z.string(), payload: z.object({ data: z.string().default('') }) })

// While readers get an older version: Google promises minutes, and mostly needs seconds.
const READERS_MS = 2_000

/**
 * A secret of Google Secret Manager, which must be there. Each write adds a version; an alias, if there is one, is then moved to it, unless
 * somebody has changed the secret meanwhile. Older versions stay.
 *
 * What stands behind `latest` or an alias changes later for some readers: a write is over when it reads its own value back by that way.
 *
 * Needs a service account with `secretmanager.versions.add`, `.list` and `.access`, `secretmanager.secrets.get`, and for an alias
 * `.update`.
 *
 * Facts: Secret Manager API v1 (`googleapis` 178), its page on consistency.
 */
export default function gcpSecretManager(given: z.infer<typeof options>, world: World): Store {
  const { project, secret, alias } = given
  const where = `Google Secret Manager, project ${project}`
  const document = secret === undefined ? singleValue(where) : jsonMembers(where)
  const nameOf = (names: readonly string[]): string => secret ?? names[0] ?? ''
  const base = `${given.endpoint.replace(/\/+$/, '')}/v1/projects/${project}/secrets/`
  const pointer = alias ?? 'latest'
  /** Logs in once for the requests of one call. */
  const session = async ({ signal }: Call): Promise<Session> => {
    const login = { where, keyFile: await world.read(given.admin), endpoint: given.token, now: world.now(), signal }
    const headers = { authorization: `Bearer ${await googleToken(login)}` }
    return (path, { method = 'GET', body, expect = [] } = {}) =>
      ask({ where, url: base + path, method, headers, signal, expect, codeOf: googleCode, ...(body && { body }) })
  }
  /** A version by its number, `latest` or an alias; null where there is none. @throws refused where it is disabled or destroyed */
  const access = async (
    asked: Session,
    name: string,
    version: string,
  ): Promise<{ readonly number: number; readonly text: string } | null> => {
    const answer = await asked(`${name}/versions/${version}:access`, { expect: [404] })
    if (answer.status === 404) return null
    const { name: path, payload } = bodyOf(where, answer, accessSchema)
    return { number: numberOf(path), text: Buffer.from(payload.data, 'base64').toString('utf8') }
  }
  const newest = async (asked: Session, name: string): Promise<number> => {
    const { versions } = bodyOf(where, await asked(`${name}/versions?pageSize=1`), versionsSchema)
    return versions[0] === undefined ? 0 : numberOf(versions[0].name)
  }
  const add = async (asked: Session, name: string, text: string): Promise<number> => {
    const data = Buffer.from(text, 'utf8')
    const payload = { data: data.toString('base64'), dataCrc32c: String(crc32c(data)) }
    return numberOf(bodyOf(where, await asked(`${name}:addVersion`, { method: 'POST', body: { payload } }), versionSchema).name)
  }
  const looked = async (call: Call, names: readonly string[]) =>
    document.read((await access(await session(call), nameOf(names), pointer))?.text ?? null, names)
  /** Readers get it from now on, unless somebody has changed the secret since it was read. */
  const point = async (
    asked: Session,
    name: string,
    { etag, versionAliases }: z.infer<typeof secretSchema>,
    number: number,
  ): Promise<void> => {
    if (alias === undefined || versionAliases[alias] === String(number)) return
    const body = { versionAliases: { ...versionAliases, [alias]: String(number) }, ...(etag !== undefined && { etag }) }
    const { status } = await asked(`${name}?updateMask=versionAliases`, { method: 'PATCH', body, expect: [400, 409] })
    if (status >= 400) throw outside('busy', where, `"${name}" was changed at the same time`)
  }
  return {
    provider: 'gcp',
    check: (call, names) =>
      findings(async () => {
        const name = nameOf(names)
        if (secret === undefined && names.length > 1)
          return [
            fault(
              'Secret Manager writes one secret at a time. Name a "secret" in the store, so that the names become members of its value',
            ),
          ]
        if (!secretName.test(name)) return [fault(`"${name}" is no name of a secret: letters, digits, underscores and hyphens`)]
        const asked = await session(call)
        if ((await asked(name, { expect: [404] })).status === 404) return [fault(`${where}: there is no secret "${name}". Make it first`)]
        await looked(call, names)
        return []
      }),

    look: looked,

    write: async (call, values) => {
      const name = nameOf(Object.keys(values))
      const asked = await session(call)
      const known = bodyOf(where, await asked(name), secretSchema)
      const last = await newest(asked, name)
      const current = alias === undefined ? last : Number(known.versionAliases[alias] ?? 0)
      const before = current === 0 ? null : await access(asked, name, String(current))
      const text = document.written(before?.text ?? null, values)
      // What an earlier try has added is not added again.
      const found = before?.text === text ? current : last > current ? await numberIf(access(asked, name, String(last)), text) : 0
      const number = found || (await add(asked, name, text))
      await point(asked, name, known, number)
      const seen = await access(asked, name, pointer)
      if (seen === null || seen.number !== number)
        throw outside('uncertain', where, `readers do not get version ${number} of "${name}" yet`, READERS_MS)
      return { version: `${name}@${number}` }
    },
  }
}

type Session = (path: string, ask?: Ask) => Promise<Answer>
type Ask = { readonly method?: 'GET' | 'POST' | 'PATCH'; readonly body?: object; readonly expect?: readonly number[] }

const fault = (sentence: string): Finding => ({ severity: 'fault', sentence })
const numberOf = (path: string): number => Number(path.slice(path.lastIndexOf('/') + 1))

/** The number of a version that has this text; 0 of another. */
async function numberIf(version: Promise<{ readonly number: number; readonly text: string } | null>, text: string): Promise<number> {
  const found = await version.catch(() => null)
  return found?.text === text ? found.number : 0
}

/** CRC-32C (Castagnoli): what was changed on the way is refused. */
function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of data) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  return (crc ^ 0xffffffff) >>> 0
}
