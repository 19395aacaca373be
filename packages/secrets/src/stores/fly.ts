import { z } from 'zod'
import { findings } from '../outside/findings.ts'
import { FlyApp, flyOptions } from '../outside/fly.ts'
import type { Call, Finding, World } from '../secret/call.ts'
import type { Held, Store } from '../secret/store.ts'

export const options = z.strictObject({
  ...flyOptions,
  /**
   * Fly tells no values, and its digests cannot be computed elsewhere. With `true` a comparison sets the value under the name
   * `KEYTURN_PROBE`, looks at its digest and deletes it again: no machine gets it unless it boots in between.
   */
  probe: z.boolean().optional(),
})

const PROBE = 'KEYTURN_PROBE'
const CLEAN_UP_MS = 20_000

/**
 * Secrets of an app of Fly. All names change as one version; machines do not notice until the target `fly` updates them.
 *
 * Needs a deploy token of the app, or any token that may set its secrets. Values cannot be read back, only digests. After the sources of
 * fly-go (`flaps`) and flyctl, 2026.
 */
export default function fly(given: z.infer<typeof options>, world: World): Store {
  const app = new FlyApp(given, world)
  const digests = async (call: Call, query = ''): Promise<Map<string, string>> => {
    const { body } = await app.ask(call, `secrets${query}`)
    const { secrets = [] } = body as { readonly secrets?: readonly { readonly name: string; readonly digest: string }[] }
    return new Map(secrets.map(({ name, digest }) => [name, digest]))
  }
  return {
    provider: 'fly',
    check: (call, names) =>
      findings(async () => {
        await digests(call)
        const odd = names.filter((name) => !/^[A-Za-z_]\w*$/.test(name))
        return odd.map((name): Finding => ({ severity: 'fault', sentence: `${app.where}: "${name}" is no name of a variable` }))
      }),
    async look(call, names) {
      const held = await digests(call)
      return Object.fromEntries(
        names.map((name): [string, Held] => {
          const digest = held.get(name)
          return [name, digest === undefined ? null : { digest }]
        }),
      )
    },
    ...(given.probe === true && {
      async digest(call: Call, value: string) {
        const version = await app.setSecrets(call, { [PROBE]: value })
        try {
          return (await digests(call, `?version=${version}`)).get(PROBE) ?? ''
        } finally {
          // Also when the time of the call is over: the value would come to every machine that boots.
          await app.setSecrets({ ...call, signal: AbortSignal.timeout(CLEAN_UP_MS) }, { [PROBE]: null })
        }
      },
    }),
    async write(call, values) {
      // The app is part of it: a secret may stand in several, and each counts for itself.
      return { version: `${app.name}@${await app.setSecrets(call, values)}` }
    },
  }
}
