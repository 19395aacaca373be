import { rotatorConformance } from '../conformance/secrets/rotator.ts'
import { issue, issuerOf } from './parts/issuer.ts'

// The engine itself, on issuers that a test holds in its hand: every kind of them.
for (const [name, options] of Object.entries({
  'an issuer whose keys carry a name': {},
  'an issuer whose keys have no name': { named: false },
  'an issuer that can disable keys': { disables: true },
})) {
  rotatorConformance(name, async () => {
    const id = name
    const first = issue(id, null)
    const accepted = (value: string | undefined) => [...issuerOf(id).values()].some((key) => key.enabled && key.value === value)
    return {
      config: { rotator: './test/secrets/parts/issuer.ts', id, ...options },
      first: { value: first.value },
      templates: { KEY: '{value}' },
      login: async ({ KEY }) => accepted(KEY),
      live: async () => issuerOf(id).size,
      close: async () => {},
    }
  })
}
