import { z } from 'zod'
import { outside } from '../outside/failure.ts'
import { ask } from '../outside/http.ts'
import type { Verdict, World } from '../secret/call.ts'
import { httpUrl, secretRef } from '../secret/options.ts'
import type { Rotator } from '../secret/rotator.ts'
import { referencesIn, render } from '../secret/template.ts'
import { hasBreak } from './values/agreed.ts'

const partName = z.string().regex(/^[A-Za-z][A-Za-z0-9]*$/, { error: 'expected the name of a part: letters and digits' })

export const options = z.strictObject({
  /** Its parts, by the names that templates use: `secret`, or `public` for what may be shown. */
  parts: z.record(partName, z.enum(['secret', 'public'])).default({ value: 'secret' }),
  /** A request that its issuer answers with 2xx where the credential works, such as one for the account. Without it, a gate must see whether consumers work. */
  request: z
    .strictObject({
      /** The address holds no part of the credential: addresses end up in logs. */
      url: httpUrl,
      /** Templates by name: `{ 'x-apikey': '{value}' }`; or variables. */
      headers: z.record(z.string().regex(/^[\w-]+$/), z.union([z.string().max(10_000), secretRef])),
    })
    .optional(),
})

/**
 * A credential that others make, change and end, such as the key of a feed that is bought by the year. Keyturn brings it to its consumers and
 * does not rotate it: one store is its source of truth (`truth: true`), and `keyturn secrets sync --apply` takes over what somebody wrote there,
 * once it was tried. With `every` it is overdue when nobody has changed it for that long.
 */
export default function kept({ parts, request }: z.infer<typeof options>, world: World): Rotator {
  const names = Object.keys(parts)
  return {
    parts,
    kept: true,
    overlap: true,
    // Nothing is ended here; with a request, somebody can be asked whether it works.
    ...(request === undefined && { issuer: false as const }),
    check: async () => {
      for (const header of Object.values(request?.headers ?? {})) {
        if (typeof header !== 'string') await world.read(header)
        else {
          const odd = referencesIn(header).find(({ slot, part }) => slot !== 'current' || !names.includes(part))
          if (odd !== undefined) return [{ severity: 'fault', sentence: `the request names "${odd.part}", which is no part of it` }]
        }
      }
      return []
    },
    create: async () => {
      throw outside('refused', 'a credential that others make', 'Keyturn makes none')
    },
    verify: async ({ signal }, credential): Promise<Verdict> => {
      const odd = Object.entries(credential.parts).find(([, value]) => value === '' || hasBreak(value))
      if (odd !== undefined) return { works: false, later: false, sentence: `part "${odd[0]}" is empty or has a line break in it` }
      if (request === undefined) return { works: true, sentence: 'it is well formed; nobody was asked whether it works' }
      const { origin, pathname } = new URL(request.url)
      const headers: Record<string, string> = {}
      for (const [name, text] of Object.entries(request.headers))
        headers[name] =
          typeof text === 'string'
            ? (render({ text }, { current: credential, previous: null, next: null }).text ?? '')
            : await world.read(text)
      const { status } = await ask({ where: `${origin}${pathname}`, url: request.url, headers, signal, expect: [400, 401, 403] })
      if (status < 300) return { works: true, sentence: `${origin}${pathname} answered ${status}` }
      return { works: false, later: false, sentence: `${origin}${pathname} answered ${status}` }
    },
    revoke: async () => {},
  }
}
