import { randomBytes } from 'node:crypto'
import { type Answer, type Asked, credentialOf, type Double, jsonOf, type Operation, startDouble } from './faults.ts'

/** How this organization is set up; a test may change it at any time. */
export interface OpenAiRules {
  /** What DELETE of a service account's key does: it ends it (2026), or is refused with 400 (until then). */
  deleteOfServiceAccountKey: 'ends' | 'refused'
  /** The policy: every key needs an expiry, at most so many seconds away; null for none. */
  mostSeconds: number | null
  /** How many calls with a new key, and with one that has ended, are answered as if that had not happened: there is a cache. */
  lag: { accept: number; refuse: number }
}

interface Key {
  readonly id: string
  readonly value: string
  readonly name: string
  readonly createdAt: number
  readonly owner: Owner
  expiresAt: number | null
  lastUsedAt: number | null
  ended: boolean
  unknownFor: number
  knownFor: number
}

type Owner = { readonly type: 'service_account' | 'user' | 'admin'; readonly id: string; readonly name: string; readonly role: string }

/** OpenAI on this machine: the administration of a project's keys, and `/v1/models` for those that live. */
export interface OpenAiDouble extends Double {
  /** What an SDK calls its base URL, with `/v1`. */
  readonly url: string
  readonly adminKey: string
  readonly project: string
  readonly rules: OpenAiRules
  /** A person makes a key of their own, which no API can. */
  makeUserKey(name: string): { readonly id: string; readonly value: string }
  /** Ids of the project's keys that work, or will when the cache has noticed. */
  live(): string[]
  /** Ids of the service accounts that there are. */
  accounts(): string[]
  /** So many seconds pass. */
  advance(seconds: number): void
}

type Expiry = { readonly expires_in_seconds?: number | null }

/** Starts a double; the caller stops it. */
export async function startOpenAi(): Promise<OpenAiDouble> {
  const project = 'proj_double'
  const rules: OpenAiRules = { deleteOfServiceAccountKey: 'ends', mostSeconds: null, lag: { accept: 0, refuse: 0 } }
  const keys: Key[] = []
  const accounts = new Map<string, Owner & { readonly createdAt: number }>()
  let passed = 0
  const now = () => Math.floor(Date.now() / 1000) + passed
  const isDead = (key: Key) => key.ended || (key.expiresAt !== null && key.expiresAt <= now())
  const make = (owner: Owner, name: string, seconds: number | null, prefix: string): Key => {
    const id = `key_${randomBytes(8).toString('hex')}`
    const value = `${prefix}${randomBytes(30).toString('base64url')}`
    const expiresAt = seconds === null ? null : now() + seconds
    const times = { createdAt: now(), expiresAt, lastUsedAt: null }
    const key = { id, value, name, owner, ...times, ended: false, unknownFor: rules.lag.accept, knownFor: rules.lag.refuse }
    keys.push(key)
    return key
  }
  const admin = make({ type: 'admin', id: 'user_admin', name: 'admin', role: 'owner' }, 'admin', null, 'sk-admin-')
  admin.unknownFor = 0
  const projectKeys = () => keys.filter((key) => key.owner.type !== 'admin' && !key.ended)
  const asAdmin =
    (answer: Operation['answer']): Operation['answer'] =>
    (asked, ids) => {
      const sent = credentialOf(asked)
      const known = keys.some((key) => key.value === sent && key.owner.type === 'admin' && !isDead(key))
      return known ? answer(asked, ids) : unauthorized(sent)
    }
  const inProject = (answer: Operation['answer']) =>
    asAdmin((asked, [named = '', ...ids]) => (named === project ? answer(asked, ids) : missing(`project '${named}'`)))
  const badExpiry = ({ expires_in_seconds: seconds }: Expiry): Answer | null => {
    if (seconds !== undefined && seconds !== null && !(Number.isInteger(seconds) && seconds > 0))
      return refused('invalid expires_in_seconds')
    if (rules.mostSeconds === null || (seconds && seconds <= rules.mostSeconds)) return null
    return refused(`The organization's policy requires expires_in_seconds of at most ${rules.mostSeconds}.`)
  }
  const shown = (key: Key) => ({
    object: 'organization.project.api_key',
    id: key.id,
    name: key.name,
    redacted_value: redacted(key.value),
    created_at: key.createdAt,
    last_used_at: key.lastUsedAt,
    expires_at: key.expiresAt,
    owner: { type: key.owner.type, [key.owner.type]: ownerShown(key.owner, accounts) },
    owner_project_access: key.owner.role === 'none' ? 'inactive' : 'active',
  })
  const find = (id: string | undefined) => projectKeys().find((key) => key.id === id)

  const operations: Operation[] = [
    {
      name: 'createServiceAccount',
      method: 'POST',
      path: /^\/v1\/organization\/projects\/([^/]+)\/service_accounts$/,
      answer: inProject((asked) => {
        const input = jsonOf<Expiry & { name: string; create_service_account_only: boolean }>(asked)
        if (!input.name) return refused("Missing required parameter: 'name'.")
        const only = input.create_service_account_only === true
        const bad = only ? null : badExpiry(input)
        if (bad !== null) return bad
        const id = `user-${randomBytes(8).toString('hex')}`
        const account = { type: 'service_account', id, name: input.name, role: only ? 'none' : 'member', createdAt: now() } as const
        accounts.set(id, account)
        const key = only ? null : make(account, 'Secret Key', input.expires_in_seconds ?? null, 'sk-svcacct-')
        const made = { object: 'organization.project.service_account.api_key', id: key?.id, value: key?.value, name: key?.name }
        const body = {
          object: 'organization.project.service_account',
          id,
          name: account.name,
          role: account.role,
          created_at: account.createdAt,
        }
        return {
          status: 200,
          body: { ...body, api_key: key === null ? null : { ...made, created_at: key.createdAt } },
          made: [id, ...(key === null ? [] : [key.id])],
        }
      }),
    },
    {
      name: 'createKey',
      method: 'POST',
      path: /^\/v1\/organization\/projects\/([^/]+)\/service_accounts\/([^/]+)\/api_keys$/,
      answer: inProject((asked, [accountId = '']) => {
        const account = accounts.get(accountId)
        if (account === undefined) return missing('service account')
        const input = jsonOf<Expiry & { name: string }>(asked)
        const bad = badExpiry(input)
        if (bad !== null) return bad
        const key = make(account, input.name ?? 'Secret Key', input.expires_in_seconds ?? null, 'sk-svcacct-')
        const { id, value, name, createdAt, expiresAt } = key
        const object = 'organization.project.service_account.api_key'
        return { status: 200, body: { object, id, value, name, created_at: createdAt, expires_at: expiresAt }, made: [id] }
      }),
    },
    {
      name: 'getServiceAccount',
      method: 'GET',
      path: /^\/v1\/organization\/projects\/([^/]+)\/service_accounts\/([^/]+)$/,
      answer: inProject((_, [id = '']) => {
        const account = accounts.get(id)
        if (account === undefined) return missing('service account')
        const { name, role, createdAt } = account
        return { status: 200, body: { object: 'organization.project.service_account', id, name, role, created_at: createdAt } }
      }),
    },
    {
      name: 'deleteServiceAccount',
      method: 'DELETE',
      path: /^\/v1\/organization\/projects\/([^/]+)\/service_accounts\/([^/]+)$/,
      answer: inProject((_, [id = '']) => {
        if (!accounts.delete(id)) return missing('service account')
        for (const key of keys) if (key.owner.id === id) key.ended = true
        return { status: 200, body: { object: 'organization.project.service_account.deleted', id, deleted: true } }
      }),
    },
    {
      name: 'listKeys',
      method: 'GET',
      path: /^\/v1\/organization\/projects\/([^/]+)\/api_keys$/,
      answer: inProject(({ url }) => {
        // Unless all are asked for, keys whose owner has no access are left out.
        const access = url.searchParams.get('owner_project_access') ?? 'active'
        const all = projectKeys().map(shown)
        return page(
          url,
          all.filter((key) => access === 'any' || key.owner_project_access === access),
        )
      }),
    },
    {
      name: 'getKey',
      method: 'GET',
      path: /^\/v1\/organization\/projects\/([^/]+)\/api_keys\/([^/]+)$/,
      answer: inProject((_, [id]) => {
        const key = find(id)
        return key === undefined ? missing('key') : { status: 200, body: shown(key) }
      }),
    },
    {
      name: 'updateKey',
      method: 'POST',
      path: /^\/v1\/organization\/projects\/([^/]+)\/api_keys\/([^/]+)$/,
      answer: inProject((asked, [id]) => {
        const key = find(id)
        if (key === undefined) return missing('key')
        const input = jsonOf<{ expires_in_seconds: number; scopes: string[] }>(asked)
        if (input.expires_in_seconds === undefined && input.scopes === undefined) return refused('Nothing to update.')
        if (isDead(key)) return refused('Expired keys cannot be updated.')
        const bad = input.expires_in_seconds === undefined ? null : badExpiry(input)
        if (bad !== null) return bad
        // Counted from this request: the same request again moves the end.
        if (input.expires_in_seconds !== undefined) key.expiresAt = now() + input.expires_in_seconds
        return { status: 200, body: shown(key) }
      }),
    },
    {
      name: 'deleteKey',
      method: 'DELETE',
      path: /^\/v1\/organization\/projects\/([^/]+)\/api_keys\/([^/]+)$/,
      answer: inProject((_, [id = '']) => {
        const key = find(id)
        if (key === undefined) return missing('key')
        if (key.owner.type === 'service_account' && rules.deleteOfServiceAccountKey === 'refused')
          return refused('API keys of service accounts cannot be deleted. Delete the service account instead.')
        key.ended = true
        return { status: 200, body: { object: 'organization.project.api_key.deleted', id, deleted: true } }
      }),
    },
    ...adminKeyOperations({ keys, make, asAdmin, badExpiry }),
    {
      name: 'models',
      method: 'GET',
      path: /^\/v1\/models$/,
      answer: (asked) => {
        const sent = credentialOf(asked)
        const key = keys.find(({ value }) => value === sent)
        if (key === undefined || key.owner.type === 'admin' || key.unknownFor-- > 0) return unauthorized(sent)
        if (isDead(key) && key.knownFor-- <= 0) return unauthorized(sent)
        key.lastUsedAt = now()
        return { status: 200, body: { object: 'list', data: [{ id: 'gpt-5', object: 'model', created: 1754006400, owned_by: 'openai' }] } }
      },
    },
  ]
  const double = await startDouble(operations, { errorBody: (status) => errorBody(`status ${status}`, null) })
  return {
    ...double,
    url: `${double.origin}/v1`,
    adminKey: admin.value,
    project,
    rules,
    makeUserKey: (name) => {
      const { id, value } = make({ type: 'user', id: 'user-person', name: 'A Person', role: 'member' }, name, null, 'sk-proj-')
      return { id, value }
    },
    live: () =>
      projectKeys()
        .filter((key) => !isDead(key))
        .map(({ id }) => id),
    accounts: () => [...accounts.keys()],
    advance: (seconds) => {
      passed += seconds
    },
  }
}

type AdminParts = {
  readonly keys: Key[]
  make(owner: Owner, name: string, seconds: number | null, prefix: string): Key
  asAdmin(answer: Operation['answer']): Operation['answer']
  badExpiry(input: Expiry): Answer | null
}

/** The keys of the administration itself. */
function adminKeyOperations({ keys, make, asAdmin, badExpiry }: AdminParts): Operation[] {
  const adminKeys = () => keys.filter(({ owner, ended }) => owner.type === 'admin' && !ended)
  const shown = ({ id, name, value, createdAt, expiresAt, lastUsedAt, owner }: Key) => ({
    object: 'organization.admin_api_key',
    id,
    name,
    redacted_value: redacted(value),
    created_at: createdAt,
    expires_at: expiresAt,
    last_used_at: lastUsedAt,
    owner: { type: 'user', object: 'organization.user', id: owner.id, name: owner.name, role: owner.role },
  })
  return [
    {
      name: 'createAdminKey',
      method: 'POST',
      path: /^\/v1\/organization\/admin_api_keys$/,
      answer: asAdmin((asked) => {
        const input = jsonOf<Expiry & { name: string }>(asked)
        const bad = input.name ? badExpiry(input) : refused("Missing required parameter: 'name'.")
        if (bad !== null) return bad
        const owner = { type: 'admin', id: 'user_admin', name: 'admin', role: 'owner' } as const
        const key = make(owner, input.name ?? '', input.expires_in_seconds ?? null, 'sk-admin-')
        return { status: 200, body: { ...shown(key), value: key.value }, made: [key.id] }
      }),
    },
    {
      name: 'listAdminKeys',
      method: 'GET',
      path: /^\/v1\/organization\/admin_api_keys$/,
      answer: asAdmin(({ url }) => page(url, adminKeys().map(shown))),
    },
    {
      name: 'deleteAdminKey',
      method: 'DELETE',
      path: /^\/v1\/organization\/admin_api_keys\/([^/]+)$/,
      answer: asAdmin((_: Asked, [id = '']) => {
        const key = adminKeys().find((one) => one.id === id)
        if (key === undefined) return missing('key')
        key.ended = true
        return { status: 200, body: { object: 'organization.admin_api_key.deleted', id, deleted: true } }
      }),
    },
  ]
}

function page(url: URL, all: readonly { readonly id: string }[]): Answer {
  const limit = Number(url.searchParams.get('limit') ?? 20)
  const after = url.searchParams.get('after')
  const from = after === null ? 0 : all.findIndex(({ id }) => id === after) + 1
  const data = all.slice(from, from + limit)
  const ends = { first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more: from + limit < all.length }
  return { status: 200, body: { object: 'list', data, ...ends } }
}

function ownerShown({ id, name, role }: Owner, accounts: ReadonlyMap<string, { readonly createdAt: number }>): object {
  const created_at = accounts.get(id)?.createdAt ?? 0
  return { id, name, role, created_at, ...(!accounts.has(id) && { email: 'person@example.com' }) }
}

const redacted = (value: string): string => `${value.slice(0, 12)}...${value.slice(-4)}`
const errorBody = (message: string, code: string | null): object => ({
  error: { message, type: 'invalid_request_error', param: null, code },
})
const refused = (message: string): Answer => ({ status: 400, body: errorBody(message, null) })
const missing = (what: string): Answer => ({ status: 404, body: errorBody(`No such ${what}.`, 'not_found') })
/** The real one repeats part of the key, too: who passes its message on has leaked it. */
const unauthorized = (sent: string): Answer => ({
  status: 401,
  body: errorBody(
    `Incorrect API key provided: ${redacted(sent)}. You can find your API key at https://platform.openai.com/account/api-keys.`,
    'invalid_api_key',
  ),
})
