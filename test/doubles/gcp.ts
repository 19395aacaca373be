import { randomBytes } from 'node:crypto'
import { type Answer, credentialOf, type Double, type Operation, startDouble } from './faults.ts'
import { type GcpKeys, gcpKeys } from './gcp-keys.ts'
import { gcpRefused, statusNames } from './gcp-refused.ts'
import { type GcpSecrets, gcpSecrets } from './gcp-secrets.ts'

/** How late this cloud is, counted in calls; a test may change it at any time. */
export interface GcpRules {
  /** How far the clock of an assertion may be from ours, in seconds. A test whose clock jumps sets it to Infinity. */
  skew: number
  lag: {
    /** Token requests with a key until it is accepted, and until one that was disabled or deleted is refused. */
    accept: number
    refuse: number
    /** Lists of keys that do not have a new key yet. */
    list: number
    /** Accesses by `latest` or an alias that still give what it was before. An access by number is up to date right after adding. */
    pointer: number
    /** Accesses by number that do not know yet that the version was disabled, enabled or destroyed. */
    state: number
  }
}

/** Google Cloud on this machine: service account keys (IAM), their tokens, and Secret Manager, all by REST. */
export interface GcpDouble extends Double {
  readonly project: string
  readonly rules: GcpRules
  /** The key file of the account that may do everything here. */
  readonly adminKeyFile: string
  /** The account whose keys are rotated; its first key file. It may do nothing here. */
  readonly email: string
  readonly keyFile: string
  readonly keys: GcpKeys
  readonly secrets: GcpSecrets
}

/** Starts a double; the caller stops it. */
export async function startGcp(): Promise<GcpDouble> {
  const project = 'double-project'
  const rules: GcpRules = { skew: 600, lag: { accept: 0, refuse: 0, list: 0, pointer: 0, state: 0 } }
  const tokens = new Map<string, string>()
  const admin = `admin@${project}.iam.gserviceaccount.com`
  const keys = gcpKeys(project, rules)
  const secrets = gcpSecrets(project, rules)
  const authorized = (operation: Operation): Operation => ({
    ...operation,
    answer: (asked, ids) => {
      const email = tokens.get(credentialOf(asked))
      if (email === undefined) return gcpRefused(401, 'UNAUTHENTICATED', 'Request had invalid authentication credentials.')
      if (email !== admin) return gcpRefused(403, 'PERMISSION_DENIED', `Permission denied on resource (or it may not exist).`)
      return operation.answer(asked, ids)
    },
  })
  const token: Operation = {
    name: 'token',
    method: 'POST',
    path: /^\/token$/,
    answer: (asked): Answer => {
      const form = new URLSearchParams(asked.body.toString('utf8'))
      if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer')
        return { status: 400, body: { error: 'unsupported_grant_type', error_description: 'Invalid grant_type' } }
      const found = keys.holderOf(form.get('assertion') ?? '')
      if ('refusal' in found) return { status: 400, body: { error: 'invalid_grant', error_description: found.refusal } }
      const access_token = `ya29.${randomBytes(40).toString('base64url')}`
      tokens.set(access_token, found.email)
      return { status: 200, body: { access_token, expires_in: 3599, token_type: 'Bearer' } }
    },
  }
  const operations = [token, ...[...keys.operations, ...secrets.operations].map(authorized)]
  const double = await startDouble(operations, {
    errorBody: (status) => gcpRefused(status, statusNames[status] ?? 'INTERNAL', `status ${status}`).body as object,
  })
  const app = `app@${project}.iam.gserviceaccount.com`
  const made = { adminKeyFile: keys.makeAccount(admin), keyFile: keys.makeAccount(app) }
  return { ...double, ...made, project, rules, email: app, keys, secrets }
}
