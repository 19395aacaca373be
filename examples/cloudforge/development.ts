import { env } from '@keyturn/core'
import { defineSecrets } from '@keyturn/secrets'

/** Where a developer works. */
export interface Desk {
  /** The folder in which `npm run dev` was started, with its `.env`. */
  readonly folder: string
  /** The address of the development server. */
  readonly url: string
  /** Has the development server read `.env` again. */
  readonly restart: readonly string[]
  /** The Connect server of 1Password. */
  readonly connect: string
  readonly openai: { readonly project: string; readonly endpoint?: string }
}

/** Secrets of a developer: `.env` gets the new value, and the development server starts again with it. */
export function development({ folder, url, restart, connect, openai }: Desk) {
  return defineSecrets({
    'openai-development': {
      owner: 'whoever sits here',
      rotator: { rotator: 'openai-key', admin: env('OPENAI_ADMIN_KEY'), ...openai },
      every: '30d',
      grace: '1s',
      risk: 'low',
      first: { value: env('OPENAI_API_KEY') },
      stores: [
        {
          store: 'one-password',
          endpoint: connect,
          token: env('OP_CONNECT_TOKEN'),
          vault: 'cloudforge',
          item: 'openai-development',
          values: { credential: '{value}' },
          truth: true,
        },
        { store: 'env-file', path: `${folder}/.env`, values: { OPENAI_API_KEY: '{value}' } },
      ],
      targets: [{ target: 'exec', command: [...restart], folder }],
      gates: [{ gate: 'health', url: `${url}/health`, path: '.components.ai_provider', settleMs: 60_000 }],
    },
  })
}
