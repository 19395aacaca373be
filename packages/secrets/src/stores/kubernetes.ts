import { z } from 'zod'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { KubernetesObject, kubernetesOptions } from '../outside/kubernetes.ts'
import type { Call, World } from '../secret/call.ts'
import type { Held, Store } from '../secret/store.ts'

export const options = z.strictObject(kubernetesOptions)

interface Secret {
  readonly metadata: { readonly resourceVersion: string }
  readonly data?: Readonly<Record<string, string>>
}

// Of a Secret that somebody else keeps changing, so often in one call.
const MOST_TRIES = 5

/**
 * A Secret of Kubernetes, which must be there. All names change in one patch that compares the version of the object; other keys stay. Pods that
 * have it as variables take it when they start: the target `kubernetes` restarts them. Mounted files follow within about a minute, `subPath` never.
 *
 * Needs a service account with the verbs `get` and `patch` on this Secret. One that is immutable is refused. After the API reference of
 * Kubernetes 1.3x.
 */
export default function kubernetes(given: z.infer<typeof options>, world: World): Store {
  const object = new KubernetesObject('secrets', given, world)
  const read = async (call: Call): Promise<Secret> => (await object.ask(call)).body as Secret
  return {
    provider: 'kubernetes',
    check: (call, names) =>
      findings(async () => {
        await read(call)
        // With texts that are surely others, or an immutable one would take them.
        const data = Object.fromEntries(names.map((name) => [name, encoded(`keyturn ${call.attempt}`)]))
        const { status } = await object.ask(call, { patch: { data }, dry: true, expect: [422] })
        if (status !== 422) return []
        return [
          { severity: 'fault', sentence: `${object.where} is immutable, or cannot hold ${names.map((name) => `"${name}"`).join(', ')}` },
        ]
      }),
    async look(call, names) {
      const { data = {} } = await read(call)
      return Object.fromEntries(
        names.map((name): [string, Held] => {
          const text = Object.hasOwn(data, name) ? data[name] : undefined
          return [name, text === undefined ? null : { value: Buffer.from(text, 'base64').toString('utf8') }]
        }),
      )
    },
    async write(call, values) {
      const data = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value === null ? null : encoded(value)]))
      for (let tries = 0; tries < MOST_TRIES; tries++) {
        const { metadata, data: before = {} } = await read(call)
        const isSame = Object.entries(data).every(([name, text]) => (Object.hasOwn(before, name) ? before[name] : null) === text)
        if (isSame) return { version: metadata.resourceVersion }
        const patch = { metadata: { resourceVersion: metadata.resourceVersion }, data }
        const { status, body } = await object.ask(call, { patch, expect: [409] })
        if (status !== 409) return { version: (body as Secret).metadata.resourceVersion }
      }
      throw outside('busy', object.where, 'somebody else keeps changing it')
    },
  }
}

const encoded = (text: string): string => Buffer.from(text, 'utf8').toString('base64')
