import { randomUUID } from 'node:crypto'
import { secretVariables, type VariableDefinition } from '@keyturn/core'
import type { Connectors } from './connectors.ts'
import type { Encryption } from './encryption.ts'
import { BadRequest, NotFound } from './refusals.ts'
import type { Db, Step, Values } from './tables.ts'

/** A run as people see it: `********` in place of secret variables. */
export interface Run {
  readonly id: string
  readonly status: string
  readonly step: number
  readonly variables: Values
}

/**
 * Workflows, what runs of them and what starts them. A definition says which variables are secret; those are open in here for as long as a
 * step is evaluated, and at no other time.
 */
export class Workflows {
  readonly #db: Db
  readonly #keyturn: Encryption
  readonly #connectors: Connectors

  constructor(db: Db, keyturn: Encryption, connectors: Connectors) {
    this.#db = db
    this.#keyturn = keyturn
    this.#connectors = connectors
  }

  get #runField() {
    return this.#keyturn.field('run.variables')
  }
  get #triggerField() {
    return this.#keyturn.field('trigger.variables')
  }

  async define(name: string, variables: readonly VariableDefinition[], steps: readonly Step[]): Promise<string> {
    // Refuses marks that it does not understand.
    secretVariables(variables)
    const names = new Set(variables.map((variable) => variable.name))
    if (steps.some((step) => 'set' in step && !names.has(step.set))) throw new BadRequest('a step sets a variable that is not defined')
    const id = randomUUID()
    await this.#db
      .insertInto('workflow_definition')
      .values({ id, name, variables: JSON.stringify(variables), steps: JSON.stringify(steps) })
      .execute()
    return id
  }

  async start(workflowId: string, values: Values): Promise<string> {
    const { variables } = await this.#definition(workflowId)
    assertRequired(variables, values)
    const id = randomUUID()
    const sealed = await secretVariables(variables).encrypt(values, this.#runField, { id })
    const run = { id, workflow_id: workflowId, status: 'running', step: 0, variables: JSON.stringify(sealed) }
    await this.#db.insertInto('workflow_run').values(run).execute()
    return id
  }

  async show(id: string): Promise<Run> {
    const row = this.#db.selectFrom('workflow_run').selectAll().where('id', '=', id)
    const { workflow_id, status, step, variables } = await row.executeTakeFirstOrThrow(NotFound.of('run'))
    const definition = await this.#definition(workflow_id)
    return { id, status, step, variables: secretVariables(definition.variables).mask(variables) }
  }

  /** Saves variables that came back from a form: a mask keeps what is stored. */
  async update(id: string, values: Values): Promise<void> {
    await this.#db.transaction().execute(async (db) => {
      const row = db.selectFrom('workflow_run').selectAll().where('id', '=', id)
      const run = await row.forUpdate().executeTakeFirstOrThrow(NotFound.of('run'))
      const { variables } = await this.#definition(run.workflow_id, db)
      assertRequired(variables, values)
      const sealed = await secretVariables(variables).merge(values, run.variables, this.#runField, { id })
      await db
        .updateTable('workflow_run')
        .set({ variables: JSON.stringify(sealed) })
        .where('id', '=', id)
        .execute()
    })
  }

  /** Evaluates the next step of a run. A process that dies meanwhile leaves the run before that step. */
  async advance(id: string): Promise<{ readonly status: string; readonly answer: number | null }> {
    return await this.#db.transaction().execute(async (db) => {
      const row = db.selectFrom('workflow_run').selectAll().where('id', '=', id)
      const run = await row.forUpdate().executeTakeFirstOrThrow(NotFound.of('run'))
      const { variables, steps } = await this.#definition(run.workflow_id, db)
      const step = steps[run.step]
      if (step === undefined) throw new BadRequest('this run has no further step')
      const secrets = secretVariables(variables)
      const values = await secrets.decrypt(run.variables, this.#runField, { id })
      const written = 'set' in step ? { ...values, [step.set]: filled(step.value, values) } : values
      const answer = 'set' in step ? null : (await this.#connectors.call(step.connector, filled(step.body, values), db)).status
      const status = run.step + 1 === steps.length ? 'done' : 'running'
      const sealed = JSON.stringify(await secrets.encrypt(written, this.#runField, { id }))
      await db
        .updateTable('workflow_run')
        .set({ status, step: run.step + 1, variables: sealed })
        .where('id', '=', id)
        .execute()
      return { status, answer }
    })
  }

  async schedule(workflowId: string, cron: string, values: Values): Promise<string> {
    const { variables } = await this.#definition(workflowId)
    assertRequired(variables, values)
    const id = randomUUID()
    const sealed = await secretVariables(variables).encrypt(values, this.#triggerField, { id })
    const trigger = { id, workflow_id: workflowId, cron, variables: JSON.stringify(sealed) }
    await this.#db.insertInto('scheduled_trigger').values(trigger).execute()
    return id
  }

  async triggers(): Promise<{ readonly id: string; readonly cron: string; readonly variables: Values }[]> {
    const rows = await this.#db
      .selectFrom('scheduled_trigger as trigger')
      .innerJoin('workflow_definition as workflow', 'workflow.id', 'trigger.workflow_id')
      .select(['trigger.id', 'trigger.cron', 'trigger.variables', 'workflow.variables as definitions'])
      .orderBy('trigger.id')
      .execute()
    return rows.map(({ id, cron, variables, definitions }) => ({ id, cron, variables: secretVariables(definitions).mask(variables) }))
  }

  /** Saves a trigger that came back from a form: a mask keeps what is stored. */
  async reschedule(id: string, cron: string, values: Values): Promise<void> {
    await this.#db.transaction().execute(async (db) => {
      const row = db.selectFrom('scheduled_trigger').selectAll().where('id', '=', id)
      const trigger = await row.forUpdate().executeTakeFirstOrThrow(NotFound.of('trigger'))
      const { variables } = await this.#definition(trigger.workflow_id, db)
      assertRequired(variables, values)
      const sealed = await secretVariables(variables).merge(values, trigger.variables, this.#triggerField, { id })
      await db
        .updateTable('scheduled_trigger')
        .set({ cron, variables: JSON.stringify(sealed) })
        .where('id', '=', id)
        .execute()
    })
  }

  /** Starts a run with the variables of a trigger: values open in their own row only, so these are encrypted anew. */
  async fire(id: string): Promise<string> {
    const row = this.#db.selectFrom('scheduled_trigger').selectAll().where('id', '=', id)
    const { workflow_id, variables } = await row.executeTakeFirstOrThrow(NotFound.of('trigger'))
    const definition = await this.#definition(workflow_id)
    return await this.start(workflow_id, await secretVariables(definition.variables).decrypt(variables, this.#triggerField, { id }))
  }

  async #definition(id: string, db = this.#db): Promise<{ readonly variables: VariableDefinition[]; readonly steps: Step[] }> {
    const row = db.selectFrom('workflow_definition').selectAll().where('id', '=', id)
    return await row.executeTakeFirstOrThrow(NotFound.of('workflow'))
  }
}

function assertRequired(definitions: readonly VariableDefinition[], values: Values): void {
  const missing = definitions.filter(({ name, required }) => required === true && (values[name] ?? '') === '').map(({ name }) => name)
  if (missing.length > 0) throw new BadRequest(`missing: ${missing.join(', ')}`)
  const names = new Set(definitions.map(({ name }) => name))
  if (Object.keys(values).some((name) => !names.has(name))) throw new BadRequest('there is a variable that is not defined')
}

const filled = (text: string, values: Values) => text.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => String(values[name] ?? ''))
