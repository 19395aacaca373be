import hexColon from '../../packages/core/src/codecs/hex-colon.ts'
import type { Field } from '../../packages/core/src/field/field.ts'
import { type SecretFields, secretFields, secretVariables, type VariableDefinition } from '../../packages/core/src/field/secret-fields.ts'
import type { JsonSchema } from '../../packages/core/src/field/secret-schema.ts'
import { staticKeyring, staticVersion } from '../../packages/core/src/keyring/static-keyring.ts'
import { fieldOf, newKey, oldKey, oldKeys, type Queries, writeOld } from './world.ts'

/**
 * An application whose secrets stand wherever the schema of each row says: connectors of several kinds, each with a schema of its own beside its
 * configuration, and workflow variables that are declared in another table.
 */

const [oldVersion, newVersion] = ['oldoldol', 'newnewne']
/** The keyring after the change, and the one before it, which knows the old key only. */
const keys = staticKeyring('connectors', [staticVersion(newVersion, 2, 'active', newKey), staticVersion(oldVersion, 1, 'retiring', oldKey)])
const before = staticKeyring('connectors', [staticVersion(oldVersion, 1, 'active', oldKey)])

const columns = { config: 'connector_definition.connector_config', run: 'workflow_run.variables', trigger: 'scheduled_trigger.variables' }
const reads = [{ codec: hexColon({}), keyring: oldKeys }]
const fieldsUnder = (keyring: typeof keys): [Field, Field, Field] => [
  fieldOf(`${columns.config}:/**`, { name: 'connector.config', keyring, reads, only: 'encrypted' }),
  fieldOf(`${columns.run}:/**`, { name: 'run.variables', keyring, reads, only: 'encrypted' }),
  fieldOf(`${columns.trigger}:/**`, { name: 'trigger.variables', keyring, reads, only: 'encrypted' }),
]
export const secretDocumentFields = fieldsUnder(keys)
const fieldsBefore = fieldsUnder(before)

const text = { type: 'string' } as const
const secret = { type: 'string', secret: true } as const
const kinds: readonly { readonly schema: JsonSchema; readonly config: (id: number) => object }[] = [
  {
    schema: { type: 'object', properties: { url: text, apiKey: secret } },
    config: (id) => ({ url: 'https://rest.example/v1', apiKey: `rest ${id}` }),
  },
  {
    schema: {
      type: 'object',
      properties: {
        host: text,
        port: { type: 'integer', secret: true },
        headers: { type: 'array', items: { type: 'object', properties: { name: text, value: secret } } },
      },
    },
    config: (id) => ({ host: 'soap', port: 8000 + id, headers: ['a', 'b'].map((name) => ({ name, value: `soap ${name} ${id}` })) }),
  },
  {
    schema: { type: 'object', properties: { env: { type: 'object', additionalProperties: secret }, pool: { type: 'integer' } } },
    config: (id) => ({ env: { TOKEN: `env ${id}`, PASSWORD: `pass ${id}` }, pool: 5 }),
  },
]
const definitions: readonly VariableDefinition[] = [
  { name: 'region', type: 'string' },
  { name: 'token', type: 'string', required: true, secret: true },
]
const variablesOf = (name: string, id: number) => ({ region: 'eu-central-1', token: `${name} ${id}` })

const kindOf = (id: number) => kinds[id % kinds.length] as (typeof kinds)[number]
/** Values and strings that are none in the row of this id: in its connector, its run and its trigger. */
const valuesIn = (id: number) => [1, 3, 2][id % 3] as number
const plainIn = (id: number) => [1, 3, 0][id % 3] as number
export const totals = (rows: number) => {
  const ids = Array.from({ length: rows }, (_, index) => index + 1)
  const sum = (of: (id: number) => number) => ids.reduce((total, id) => total + of(id), 0)
  return { values: sum(valuesIn) + 2 * rows, config: sum(valuesIn), plain: { config: sum(plainIn), variables: rows } }
}

/** What the application of before stores: values of odd rows in `kt1` under the old key, others in the format before that. */
async function stored(secrets: SecretFields, field: Field, id: number, document: object): Promise<unknown> {
  const sealed = await secrets.encrypt(document, field)
  if (id % 2 === 1) return sealed
  const older = async (value: unknown): Promise<unknown> => {
    if (typeof value === 'string') return value.startsWith('kt1.') ? writeOld(await field.decrypt(value)) : value
    if (typeof value !== 'object' || value === null) return value
    const entries = await Promise.all(Object.entries(value).map(async ([name, each]) => [name, await older(each)]))
    return Array.isArray(value) ? entries.map(([, each]) => each) : Object.fromEntries(entries)
  }
  return await older(sealed)
}

/** Makes the tables, as json, jsonb and JSON in text, with the rows 1 to `rows`. */
export async function fillSecretDocuments(sql: Queries, rows: number): Promise<void> {
  await sql.query(`
    CREATE TABLE IF NOT EXISTS connector_definition (id int PRIMARY KEY, config_schema jsonb NOT NULL, connector_config json, edits int DEFAULT 0);
    CREATE TABLE IF NOT EXISTS workflow_definition (id int PRIMARY KEY, variables jsonb NOT NULL);
    CREATE TABLE IF NOT EXISTS workflow_run (id int PRIMARY KEY, definition_id int REFERENCES workflow_definition, variables jsonb);
    CREATE TABLE IF NOT EXISTS scheduled_trigger (id int PRIMARY KEY, definition_id int REFERENCES workflow_definition, variables text)`)
  await sql.query('INSERT INTO workflow_definition VALUES (1, $1)', [JSON.stringify(definitions)])
  const variables = secretVariables(definitions)
  for (let id = 1; id <= rows; id++) {
    const { schema, config } = kindOf(id)
    const [connector, run, trigger] = fieldsBefore
    const document = await stored(secretFields(schema), connector, id, config(id))
    const one = JSON.stringify(await stored(variables, run, id, variablesOf('run', id)))
    const two = JSON.stringify(await stored(variables, trigger, id, variablesOf('trigger', id)), null, 2)
    await sql.query('INSERT INTO connector_definition VALUES ($1, $2, $3)', [id, JSON.stringify(schema), spelt(document)])
    await sql.query('INSERT INTO workflow_run VALUES ($1, 1, $2)', [id, one])
    await sql.query('INSERT INTO scheduled_trigger VALUES ($1, 1, $2)', [id, two])
  }
}

/** In a spelling that a parser and a printer would not keep. */
const spelt = (document: unknown) => ` {"n" : 12345678901234567890.10,"edits":0,\n${JSON.stringify(document).slice(1)} `

/** The documents as text, by table and row, with a sign in place of each value. */
export async function outlines(sql: Queries): Promise<Map<string, string>> {
  const { rows } = await sql.query(
    `SELECT 'config ' || id AS at, connector_config::text AS text FROM connector_definition
     UNION ALL SELECT 'run ' || id, variables::text FROM workflow_run UNION ALL SELECT 'trigger ' || id, variables FROM scheduled_trigger`,
  )
  const outline = (document: unknown) => String(document).replaceAll(/"(?:[0-9a-f]{24}:[0-9a-f]{32}:[0-9a-f]*|kt1\.[^"]*)"/g, '#')
  return new Map(rows.map(({ at, text }) => [String(at), outline(text)]))
}

/** The application afterwards: it reads each document by its row's own schema, with the new key only. */
export async function assertReadable(sql: Queries, rows: number, equal: (found: unknown, wanted: unknown) => void): Promise<void> {
  const [connector, run, trigger] = fieldsUnder(staticKeyring('connectors', [staticVersion(newVersion, 2, 'active', newKey)]))
  const connectors = await sql.query('SELECT id, config_schema, connector_config FROM connector_definition ORDER BY id')
  equal(connectors.rows.length, rows)
  for (const { id, config_schema, connector_config } of connectors.rows) {
    const {
      edits: _,
      n: __,
      ...config
    } = (await secretFields(config_schema as JsonSchema).decrypt(connector_config, connector)) as Record<string, unknown>
    equal(config, kindOf(id as number).config(id as number))
  }
  for (const [table, field, name] of [
    ['workflow_run', run, 'run'],
    ['scheduled_trigger', trigger, 'trigger'],
  ] as const) {
    const { rows: found } = await sql.query(
      `SELECT v.id, v.variables::text AS text, d.variables AS definitions FROM ${table} v JOIN workflow_definition d ON d.id = v.definition_id ORDER BY v.id`,
    )
    equal(found.length, rows)
    for (const { id, text: document, definitions: declared } of found)
      equal(
        await secretVariables(declared as VariableDefinition[]).decrypt(JSON.parse(String(document)), field),
        variablesOf(name, id as number),
      )
  }
}
