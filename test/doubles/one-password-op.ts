import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { OnePasswordDouble } from './one-password.ts'
import type { Item, ItemField } from './one-password-item.ts'

/**
 * The command `op` on this machine, before the vaults of a double: `op whoami`, `op vault get`, `op read`, `op item get`, `op item edit
 * --template=FILE`. It signs in as a service account, with a token of the double in `OP_SERVICE_ACCOUNT_TOKEN`.
 *
 * Stricter than the real one in what a careful caller keeps: a value among the arguments, which every user of the machine can read, and a
 * template that others can read are refused. What a template does not name is gone, as the real one may do.
 *
 * @param folder - where the executable file is put
 * @returns its path
 */
export function installOp(double: OnePasswordDouble, folder: string): string {
  const path = join(folder, 'op')
  const program = fileURLToPath(import.meta.url)
  writeFileSync(path, `#!/bin/sh\nOP_DOUBLE=${double.origin} exec '${process.execPath}' '${program}' "$@"\n`)
  chmodSync(path, 0o755)
  return path
}

class OpError extends Error {}

/** An item as the command prints it: snake case, with the reference of each field. */
type Printed = Omit<Item, 'vault' | 'createdAt' | 'updatedAt' | 'lastEditedBy'> & {
  readonly vault: { readonly id: string; readonly name: string }
}
type Vault = { readonly id: string; readonly name: string }

const commands: Record<string, (args: readonly string[], options: Options) => Promise<string>> = {
  whoami: async () => {
    await ask('GET', '/v1/vaults')
    return print({ URL: 'https://double.1password.com', ServiceAccountType: 'SERVICE_ACCOUNT' })
  },
  'vault get': async ([query = '']) => print(await vaultOf(query)),
  read: async ([reference = ''], options) => {
    const [, vaultName, itemName, ...path] = /^op:\/\/([^/]+)\/([^/]+)\/(?:([^/]+)\/)?([^/]+)$/.exec(decodeURI(reference)) ?? []
    if (vaultName === undefined || itemName === undefined) throw new OpError(`invalid secret reference '${reference}'`)
    const vault = await vaultOf(vaultName)
    const { fields, sections } = await itemOf(vault, itemName)
    const [section, label] = path
    const named = fields.filter((field) => {
      const at = sections.find(({ id }) => id === field.section?.id)
      return [field.label, field.id].includes(label ?? '') && (section === undefined || [at?.id, at?.label].includes(section))
    })
    if (named.length !== 1) throw new OpError(`could not read secret '${reference}': ${named.length} fields match`)
    return `${named[0]?.value ?? ''}${options['no-newline'] ? '' : '\n'}`
  },
  'item get': async ([query = ''], { vault: name = '' }) => {
    const vault = await vaultOf(name)
    return print(printed(await itemOf(vault, query), vault))
  },
  'item edit': async ([query = '', ...assignments], { vault: name = '', template }) => {
    if (assignments.length > 0) throw new OpError('the double takes no assignments: everybody on this machine could read the value')
    if (template === undefined) throw new OpError('nothing to change')
    if ((statSync(template).mode & 0o077) !== 0) throw new OpError('the double takes no template that others can read')
    const vault = await vaultOf(name)
    const before = await itemOf(vault, query)
    const given: Printed = JSON.parse(readFileSync(template, 'utf8'))
    for (const { value = '' } of given.fields) refuseInArguments(value)
    const fields = given.fields.map(({ id, type, label, value, purpose, section }) => defined({ id, type, label, value, purpose, section }))
    const { title, tags = [], sections = [], category } = given
    const next = { id: before.id, vault: { id: vault.id }, title, tags, sections, category, fields }
    return print(printed((await ask('PUT', `/v1/vaults/${vault.id}/items/${before.id}`, next)) as Item, vault))
  },
}

type Options = { readonly vault?: string; readonly template?: string; readonly 'no-newline'?: boolean }

async function ask(method: string, path: string, body?: object): Promise<unknown> {
  const token = process.env.OP_SERVICE_ACCOUNT_TOKEN ?? ''
  if (token === '') throw new OpError('no account found for filter (set OP_SERVICE_ACCOUNT_TOKEN)')
  const answer = await fetch(`${process.env.OP_DOUBLE}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  }).catch(() => {
    throw new OpError('error initializing client: network error')
  })
  if (answer.ok) return answer.json()
  if (answer.status === 429) throw new OpError('(429) Too Many Requests: You have reached the rate limit of this service account')
  throw new OpError(`(${answer.status}) ${((await answer.json()) as { message?: string }).message ?? ''}`)
}

async function vaultOf(query: string): Promise<Vault> {
  const vaults = ((await ask('GET', '/v1/vaults')) as Vault[]).filter(({ id, name }) => id === query || name === query)
  if (vaults.length === 1 && vaults[0] !== undefined) return vaults[0]
  throw new OpError(`"${query}" isn't a vault in this account. Specify the vault with its ID or name.`)
}

async function itemOf({ id: vault, name }: Vault, query: string): Promise<Item> {
  const all = (await ask('GET', `/v1/vaults/${vault}/items`)) as Item[]
  const named = all.filter(({ id, title }) => id === query || title === query)
  if (named.length > 1) throw new OpError(`More than one item matches "${query}". Try again and specify the item by its ID:`)
  const [item] = named
  if (item === undefined)
    throw new OpError(`"${query}" isn't an item in the "${name}" vault. Specify the item with its UUID, name, or domain.`)
  const full = (await ask('GET', `/v1/vaults/${vault}/items/${item.id}`)) as Item
  for (const { value = '' } of full.fields) refuseInArguments(value)
  return full
}

function printed({ createdAt, updatedAt, lastEditedBy, ...item }: Item, vault: Vault): Printed {
  const reference = ({ label, section }: ItemField) =>
    `op://${[vault.name, item.title, section?.label ?? section?.id, label].filter(Boolean).join('/')}`
  const fields = item.fields.map((field) => ({ ...field, reference: reference(field) }))
  const times = { last_edited_by: lastEditedBy, created_at: createdAt, updated_at: updatedAt }
  return { ...item, ...times, fields, vault: { id: vault.id, name: vault.name } }
}

const print = (what: object): string => `${JSON.stringify(what, null, 2)}\n`
const defined = (field: object): object => Object.fromEntries(Object.entries(field).filter(([, value]) => value !== undefined))

/** Short texts such as a user's name may stand among the arguments for another reason. */
function refuseInArguments(value: string): void {
  if (value.length >= 8 && process.argv.some((argument) => argument.includes(value)))
    throw new OpError('a value stands among the arguments')
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      vault: { type: 'string' },
      template: { type: 'string' },
      format: { type: 'string' },
      'no-newline': { type: 'boolean', short: 'n' },
    },
  })
  const [first = '', second = ''] = positionals
  const name = Object.hasOwn(commands, first) ? first : `${first} ${second}`
  const run = commands[name]
  if (run === undefined) throw new OpError(`unknown command "${name}" for "op"`)
  process.stdout.write(await run(positionals.slice(name === first ? 1 : 2), values as Options))
}

if (import.meta.main) {
  main().catch((error: unknown) => {
    process.stderr.write(`[ERROR] 2026/01/01 00:00:00 ${error instanceof OpError ? error.message : 'the command failed'}\n`)
    process.exitCode = 1
  })
}
