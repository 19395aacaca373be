import { type Route, route } from '../route.ts'
import { rewrapBody, rewrapped } from '../wire/keyring.ts'

export const rootRoutes: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/root/rewrap',
    role: 'admin',
    summary: 'Wrap the keys of a keyring under its first root key; with "drop", delete what is wrapped under another',
    body: rewrapBody,
    answers: { 200: rewrapped },
    handle: async ({ server, body: { keyring, drop } }) => {
      const { added, dropped, roots } = await server.keyturn.rewrap(keyring, drop === undefined ? {} : { drop })
      return { added, dropped, roots: [...roots] }
    },
  }),
]
