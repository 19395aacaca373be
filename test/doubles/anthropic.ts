import { randomBytes } from 'node:crypto'
import { type Answer, type Asked, credentialOf, type Double, jsonOf, type Operation, startDouble } from './faults.ts'

/** How this organization is set up; a test may change it at any time. */
export interface AnthropicRules {
  /** How many keys may be active in a workspace, and in the organization. */
  most: { workspace: number; organization: number }
  /** The older form of a key: `workspace_id` at the top instead of `scope`. */
  olderShape: boolean
  /** How many calls with a key that was set inactive are still answered. */
  lag: { refuse: number }
}

type Status = 'active' | 'inactive' | 'archived' | 'expired'

interface Key {
  readonly id: string
  readonly value: string
  readonly workspace: string
  readonly createdAt: string
  name: string
  status: Status
  knownFor: number
}

/** Anthropic on this machine: the Admin API, which cannot make keys, and `/v1/models` for those that live. */
export interface AnthropicDouble extends Double {
  readonly adminKey: string
  readonly rules: AnthropicRules
  /** A person makes a key in the console, which is the only way. In the workspace `wrkspc_default` unless another is named. */
  makeKey(name: string, workspace?: string): { readonly id: string; readonly value: string }
  /** Ids of the keys that work or could again: those that are not archived. */
  live(): string[]
  /** The status of a key, as the console shows it. */
  statusOf(id: string): Status
}

/** Starts a double; the caller stops it. */
export async function startAnthropic(): Promise<AnthropicDouble> {
  const rules: AnthropicRules = { most: { workspace: 100, organization: 1_000 }, olderShape: false, lag: { refuse: 0 } }
  const keys: Key[] = []
  const adminKey = `sk-ant-admin01-${randomBytes(48).toString('base64url')}`
  const find = (id: string | undefined) => keys.find((key) => key.id === id)
  const active = (workspace?: string) =>
    keys.filter((key) => key.status === 'active' && (workspace === undefined || key.workspace === workspace)).length
  const shown = (key: Key) => ({
    id: key.id,
    type: 'api_key',
    name: key.name,
    status: key.status,
    partial_key_hint: `${key.value.slice(0, 17)}...${key.value.slice(-4)}`,
    created_at: key.createdAt,
    created_by: { id: 'user_person', type: 'user' },
    expires_at: null,
    ...(rules.olderShape
      ? { workspace_id: key.workspace }
      : { principal: null, scope: { type: 'workspace', workspace_id: key.workspace } }),
  })
  const asAdmin =
    (answer: Operation['answer']): Operation['answer'] =>
    (asked, ids) =>
      versioned(asked) ?? (keyOf(asked) === adminKey ? answer(asked, ids) : unauthorized())
  /** A key that becomes active again can be one too many. */
  const tooMany = ({ workspace }: Key): Answer | null => {
    if (active() >= rules.most.organization) return limited('org_api_key_limit_exceeded')
    return active(workspace) >= rules.most.workspace ? limited('workspace_api_key_limit_exceeded') : null
  }
  const operations: Operation[] = [
    {
      name: 'listKeys',
      method: 'GET',
      path: /^\/v1\/organizations\/api_keys$/,
      answer: asAdmin(({ url }) => {
        const { status, workspace_id } = Object.fromEntries(url.searchParams)
        const fits = (key: Key) => (status ?? key.status) === key.status && (workspace_id ?? key.workspace) === key.workspace
        // The newest first.
        return page(url, keys.filter(fits).reverse().map(shown))
      }),
    },
    {
      name: 'getKey',
      method: 'GET',
      path: /^\/v1\/organizations\/api_keys\/([^/]+)$/,
      answer: asAdmin((_, [id]) => {
        const key = find(id)
        return key === undefined ? refused(404, 'not_found_error', 'API key not found') : { status: 200, body: shown(key) }
      }),
    },
    {
      name: 'updateKey',
      method: 'POST',
      path: /^\/v1\/organizations\/api_keys\/([^/]+)$/,
      answer: asAdmin((asked, [id]) => {
        const key = find(id)
        if (key === undefined) return refused(404, 'not_found_error', 'API key not found')
        const { status, name } = jsonOf<{ status: Status | null; name: string | null }>(asked)
        if (status && !['active', 'inactive', 'archived'].includes(status)) return refused(400, 'invalid_request_error', 'status: invalid')
        if (key.status === 'archived' && status && status !== 'archived')
          return refused(400, 'invalid_request_error', 'API key is archived')
        const bad = status === 'active' && key.status !== 'active' ? tooMany(key) : null
        if (bad !== null) return bad
        if (status && status !== 'active' && key.status === 'active') key.knownFor = rules.lag.refuse
        if (status) key.status = status
        if (name) key.name = name
        return { status: 200, body: shown(key) }
      }),
    },
    {
      name: 'models',
      method: 'GET',
      path: /^\/v1\/models$/,
      answer: (asked) => {
        const key = keys.find(({ value }) => value === keyOf(asked))
        if (key === undefined || (key.status !== 'active' && key.knownFor-- <= 0)) return versioned(asked) ?? unauthorized()
        const model = { id: 'claude-opus-4-5', type: 'model', display_name: 'Claude Opus 4.5', created_at: '2025-11-24T00:00:00Z' }
        return versioned(asked) ?? page(asked.url, [model])
      },
    },
  ]
  const double = await startDouble(operations, { errorBody: (status) => errorBody(names[status] ?? 'api_error', `status ${status}`) })
  return {
    ...double,
    adminKey,
    rules,
    makeKey: (name, workspace = 'wrkspc_default') => {
      const id = `apikey_01${randomBytes(11).toString('hex')}`
      const value = `sk-ant-api03-${randomBytes(69).toString('base64url')}AA`
      keys.push({ id, value, workspace, name, status: 'active', createdAt: new Date().toISOString(), knownFor: 0 })
      return { id, value }
    },
    live: () => keys.filter(({ status }) => status === 'active' || status === 'inactive').map(({ id }) => id),
    statusOf: (id) => {
      const key = find(id)
      if (key === undefined) throw new Error(`there is no key ${id}`)
      return key.status
    },
  }
}

/** The documentation says `x-api-key`, the SDK sends a bearer token: both are taken. */
function keyOf(asked: Asked): string {
  return String(asked.headers['x-api-key'] ?? credentialOf(asked))
}

function versioned({ headers }: Asked): Answer | null {
  return headers['anthropic-version'] ? null : refused(400, 'invalid_request_error', 'anthropic-version: header is required')
}

function page(url: URL, all: readonly { readonly id: string }[]): Answer {
  const { after_id, before_id, limit = '20' } = Object.fromEntries(url.searchParams)
  const at = all.findIndex(({ id }) => id === (after_id ?? before_id))
  const [from, to] = before_id === undefined ? [at + 1, at + 1 + Number(limit)] : [Math.max(0, at - Number(limit)), Math.max(0, at)]
  const data = all.slice(from, to)
  const has_more = before_id === undefined ? to < all.length : from > 0
  return { status: 200, body: { data, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more } }
}

const names: Record<number, string> = {
  400: 'invalid_request_error',
  404: 'not_found_error',
  405: 'invalid_request_error',
  429: 'rate_limit_error',
  529: 'overloaded_error',
}
const errorBody = (type: string, message: string, details?: object): object => ({
  type: 'error',
  error: { type, message, ...(details && { details }) },
  request_id: 'req_double',
})
const refused = (status: number, type: string, message: string): Answer => ({ status, body: errorBody(type, message) })
const limited = (error_code: string): Answer => ({
  status: 400,
  body: errorBody('invalid_request_error', 'You have reached your limit of active API keys.', { error_code }),
})
const unauthorized = (): Answer => refused(401, 'authentication_error', 'invalid x-api-key')
