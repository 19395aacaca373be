import { isVariableName } from '@keyturn/core'
import { z } from 'zod'
import { at, jsonPath } from '../../gates/http/json-path.ts'
import { outside } from '../../outside/failure.ts'
import { ask } from '../../outside/http.ts'
import { commandLine, environment, runProgram } from '../../outside/program.ts'
import type { Call, World } from '../../secret/call.ts'
import type { Parts } from '../../secret/credential.ts'
import { httpUrl, secretRef } from '../../secret/options.ts'
import { referencesIn, render } from '../../secret/template.ts'

/** A template such as `Bearer {value}`, or a variable. */
const filled = z.union([z.string().max(10_000), secretRef])
const status = z.int().min(100).max(599)

const request = z.strictObject({
  /** What is asked. No part stands in it: addresses end up in logs. */
  url: httpUrl.refine((text) => !/[{}]|%7[bd]/i.test(text), { error: 'expected an address without a part of the credential in it' }),
  method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']).default('GET'),
  headers: z.record(z.string().regex(/^[\w-]+$/, { error: 'expected the name of a header' }), filled).optional(),
  /** User and password as HTTP Basic. */
  basic: z.strictObject({ user: filled, password: filled }).optional(),
  /** Sent as a form, or as an object in JSON. */
  form: z.record(z.string(), filled).optional(),
  json: z.record(z.string(), filled).optional(),
  /** Statuses that say that it works; 200 to 299 unless given. */
  status: z.array(status).min(1).optional(),
  /** Statuses that say that it does not; 401 and 403 unless given. Any other one says neither, and is asked again. */
  refused: z.array(status).min(1).default([401, 403]),
  /** A place in the JSON document of an answer that says that it works, and what must stand there: else it does not work. */
  path: jsonPath.optional(),
  expect: z.union([z.string(), z.number(), z.boolean(), z.null()]).default(true),
})

const program = z.strictObject({
  /** The program and its arguments, without a shell and without a part of the credential. */
  command: commandLine,
  folder: z.string().min(1).optional(),
  /** What it reads from its input; a JSON object of the parts unless given. */
  input: z.string().max(10_000).optional(),
  /** Variables that are made for it: `{ PGPASSWORD: '{value}' }`. */
  variables: z.record(z.string().refine(isVariableName, { error: 'expected the name of a variable' }), z.string().max(10_000)).optional(),
  /** Variables that are passed on, beside `PATH`, `HOME` and the like. */
  env: z.array(z.string().refine(isVariableName, { error: 'expected the name of a variable' })).optional(),
  /** Exit codes that say that it does not work; 77 unless given. 0 says that it works, any other one neither. */
  refused: z.array(z.int().min(1).max(255)).min(1).default([77]),
  seconds: z.int().min(1).max(600).default(60),
})

export const verification = z.union([request, program], {
  error: 'expected a request ("url") or a program ("command"), and nothing that neither has',
})
export type Verification = z.infer<typeof verification>

/** What an attempt to use it came to. `unclear`: it says neither that it works nor that it does not; a sentence without a part of it. */
export type Tried = { readonly is: 'works' | 'refused' | 'unclear'; readonly sentence: string }

/** The texts in which parts may stand. */
export function templatesOf(how: Verification): string[] {
  if ('command' in how) return [...(how.input === undefined ? [] : [how.input]), ...Object.values(how.variables ?? {})]
  return textsOf(how).filter((text) => typeof text === 'string')
}

/** The variables and files that it reads. */
export function referencesOf(how: Verification): z.infer<typeof secretRef>[] {
  if ('command' in how) return (how.env ?? []).map((name) => ({ env: name }))
  return textsOf(how).filter((text) => typeof text !== 'string')
}

const textsOf = ({ headers, basic, form, json }: Extract<Verification, { url: unknown }>): z.infer<typeof filled>[] =>
  [headers, basic, form, json].flatMap((texts) => Object.values<z.infer<typeof filled>>(texts ?? {}))

/** The parts that stand in a header, where not every character may. */
export const partsInHeaders = (how: Verification): string[] =>
  'command' in how
    ? []
    : Object.values(how.headers ?? {}).flatMap((text) => (typeof text === 'string' ? referencesIn(text).map(({ part }) => part) : []))

export const placeOf = (how: Verification): string => {
  if ('command' in how) return `the program "${how.command[0]}"`
  const { origin, pathname } = new URL(how.url)
  return `${origin}${pathname}`
}

/** Uses a credential once. @throws busy or uncertain, where nothing was answered */
export async function tryIt(how: Verification, parts: Parts, { call, world }: { call: Call; world: World }): Promise<Tried> {
  return 'command' in how ? await run(how, parts, call, world) : await askFor(how, parts, call, world)
}

const fillFrom = (parts: Parts) => (text: string) =>
  render({ text }, { current: { id: null, parts }, previous: null, next: null }).text ?? ''

async function run(
  { command, folder, input, variables = {}, env = [], refused }: Extract<Verification, { command: unknown }>,
  parts: Parts,
  { signal }: Call,
  world: World,
): Promise<Tried> {
  const where = `the program "${command[0]}"`
  const fill = fillFrom(parts)
  const own = Object.fromEntries(Object.entries(variables).map(([name, text]) => [name, fill(text)]))
  const given = { ...(await environment(world, env)), ...own }
  const { code } = await runProgram({
    ...{ where, command, folder, env: given, signal },
    input: input === undefined ? JSON.stringify(parts) : fill(input),
  })
  const sentence = `${where} ended with ${code}`
  return { is: code === 0 ? 'works' : refused.includes(code) ? 'refused' : 'unclear', sentence }
}

/** Answers, and none of them a failure of the way there: 429 and 5xx say nothing of a credential. */
const answers = Array.from({ length: 400 }, (_, index) => 100 + index).filter((each) => each !== 429)

async function askFor(how: Extract<Verification, { url: unknown }>, parts: Parts, { signal }: Call, world: World): Promise<Tried> {
  const { url, method, headers = {}, basic, form, json, refused, path, expect } = how
  const where = placeOf(how)
  const fill = fillFrom(parts)
  const all = async (texts: { readonly [name: string]: z.infer<typeof filled> }) => {
    const full: Record<string, string> = {}
    for (const [name, text] of Object.entries(texts)) full[name] = typeof text === 'string' ? fill(text) : await world.read(text)
    return full
  }
  // A connection of its own: what was open before may be let in for what it was.
  const sent = { ...(await all(headers)), connection: 'close' } as Record<string, string>
  if (basic !== undefined) {
    const { user, password } = await all(basic)
    sent.authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  }
  const body = form !== undefined ? new URLSearchParams(await all(form)) : json !== undefined ? await all(json) : undefined
  const known = [...answers, ...refused, ...(how.status ?? [])]
  const answer = await ask({ where, url, method, headers: sent, signal, expect: known, ...(body === undefined ? {} : { body }) })
  const { status: code } = answer
  const sentence = `${where} answered ${code}`
  if (refused.includes(code)) return { is: 'refused', sentence }
  const isGood = how.status === undefined ? code >= 200 && code < 300 : how.status.includes(code)
  if (!isGood) return { is: 'unclear', sentence: `${sentence}${code >= 300 && code < 400 ? ', a redirect, which is not followed' : ''}` }
  if (path === undefined || at(answer.body, path) === expect) return { is: 'works', sentence }
  return { is: 'refused', sentence: `${sentence} with something else at ${path}` }
}

/** The error of an attempt that said neither: it is made again, and never taken for a refusal. */
export const unclear = (how: Verification, { sentence }: Tried) =>
  outside('uncertain', placeOf(how), `${sentence.slice(placeOf(how).length).trim()}, which says neither that it works nor that it does not`)
