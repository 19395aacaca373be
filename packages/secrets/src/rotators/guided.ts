import { randomBytes } from 'node:crypto'
import { fail } from '@keyturn/core'
import { z } from 'zod'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import type { Call, Finding, World } from '../secret/call.ts'
import type { Credential, Parts } from '../secret/credential.ts'
import { httpUrl } from '../secret/options.ts'
import type { Rotator } from '../secret/rotator.ts'
import { referencesIn } from '../secret/template.ts'
import { partsInHeaders, placeOf, referencesOf, templatesOf, tryIt, unclear, verification } from './guided/verification.ts'
import { hasBreak } from './values/agreed.ts'

const line = z
  .string()
  .min(1)
  .max(200)
  .refine((text) => !hasBreak(text), { error: 'expected one line' })
const markdown = z.string().min(1).max(20_000)

export const options = z
  .strictObject({
    /** What a person is to do, in one line: `Make an API key at Datadog`. */
    title: line,
    /** How, in Markdown. `{name}` stands for the name to give it, `keyturn-ATTEMPT`. Never a secret. */
    instructions: markdown,
    /** Where it is done. */
    url: httpUrl.optional(),
    /**
     * What is pasted, by part: `{ value: { label: 'API key', pattern: 'dd-[0-9a-f]{32}' } }`. With `secret: false` it may be shown; a part `id` of
     * that kind is what the issuer calls the credential.
     */
    paste: z
      .record(
        z.string().regex(/^[A-Za-z][A-Za-z0-9]*$/, { error: 'expected letters and digits' }),
        z.strictObject({
          label: line,
          pattern: z.string().max(500).refine(isPattern, { error: 'expected a regular expression of the whole text' }).optional(),
          secret: z.boolean().default(true),
        }),
      )
      .refine((parts) => Object.values(parts).some(({ secret }) => secret), { error: 'expected a part that is secret' }),
    /**
     * How it is tried: a request, `{ url, method, headers, basic, form, json, status, refused, path, expect }`, or a program,
     * `{ command, folder, input, variables, env, refused, seconds }`. Templates name the parts: `{ authorization: 'Bearer {value}' }`.
     */
    verify: verification.optional(),
    /** How a person ends the old one: `{ title, instructions, url }`. `{name}` is the name of the new one; `{part}` shows a part that is not secret. */
    revocation: z.strictObject({ title: line.optional(), instructions: markdown, url: httpUrl.optional() }).optional(),
    /** Whether the old credential works until it is ended. */
    overlap: z.boolean().default(true),
  })
  .superRefine(({ paste, verify, revocation, overlap }, context) => {
    const say = (message: string, ...path: string[]) => context.addIssue({ code: 'custom', message, path })
    if (overlap && revocation === undefined) say('expected instructions for ending the old credential', 'revocation')
    if (verify === undefined) return
    const named = templatesOf(verify).flatMap(referencesIn)
    const odd = named.find(({ slot, part }) => slot !== 'current' || !Object.hasOwn(paste, part))
    if (odd !== undefined) say(`there is no part "${odd.slot === 'current' ? '' : `${odd.slot}.`}${odd.part}" in what is pasted`, 'verify')
    const readsAll = 'command' in verify && verify.input === undefined
    if (!readsAll && !named.some(({ part }) => paste[part]?.secret))
      say('nothing of it names a part that is secret: it would prove nothing', 'verify')
    if ('url' in verify && verify.form !== undefined && verify.json !== undefined) say('a form and JSON are two bodies', 'verify')
  })

/**
 * A credential that no API makes, as you describe it: a person gets instructions and a place to paste, and the rest is done as for every other one. It
 * is tried, stored, deployed, and tried again before a person is asked to end the old one, which must be refused then.
 *
 * - `verify` is a request or a program that uses it and changes nothing. Redirects are not followed. `plan` tries it with made-up parts first: what lets
 *   those in proves nothing and is refused. Parts go to a program by its input or its variables, never by its arguments.
 * - Without `verify` a gate has to say that consumers work with it, else `plan` refuses the secret; and that the old one has ended, the person says.
 * - Where the issuer ends the old one the moment it makes the new one, say `overlap: false`.
 */
export default function guided(given: z.infer<typeof options>, world: World): Rotator {
  const { title, instructions, url, paste, verify: how, revocation, overlap } = given
  const names = Object.keys(paste)
  const inHeaders = how === undefined ? [] : partsInHeaders(how)
  const isSecret = (part: string) => paste[part]?.secret === true
  const rotator: Rotator = {
    parts: Object.fromEntries(names.map((part) => [part, isSecret(part) ? 'secret' : 'public'])),
    overlap,
    ...(how === undefined ? { unverified: true } : 'command' in how ? { callMs: how.seconds * 1_000 } : {}),

    check: (call, current) =>
      findings(async () => {
        if (how === undefined) return []
        for (const ref of referencesOf(how)) await world.read(ref)
        const look = (parts: Parts) => tryIt(how, parts, { call, world })
        const madeUp = await look(Object.fromEntries(names.map((part) => [part, `keyturn${randomBytes(18).toString('hex')}`])))
        if (madeUp.is === 'works') return [fault(`a made-up credential is let in: ${madeUp.sentence}. It would prove nothing`)]
        const found: Finding[] =
          madeUp.is === 'refused'
            ? []
            : [warning(`whether a made-up credential is refused does not show: ${madeUp.sentence}. Name it in "refused" if it does`)]
        const used = current === null ? null : await look(current.parts)
        if (used?.is === 'refused') found.push(warning(`the credential in use does not work: ${used.sentence}`))
        return found
      }),

    task: async (call) => ({
      title,
      instructions: [
        named(instructions, call),
        ...(overlap ? ['', 'The old one goes on working until the new one is in use everywhere. Do not end it.'] : []),
      ].join('\n'),
      ...(url !== undefined && { url }),
      paste: names.map((part) => {
        const { label = part, pattern } = paste[part] ?? {}
        return { part, label, ...(pattern !== undefined && { pattern }) }
      }),
    }),

    create: async (_, pasted, current) => {
      const parts = Object.fromEntries(names.map((part) => [part, pasted?.parts[part]?.trim() ?? '']))
      for (const [part, text] of Object.entries(parts)) {
        const { label = part, pattern } = paste[part] ?? {}
        const refuse = (why: string) => fail('ERR_PROVIDED', label, why)
        if (text === '') throw refuse('nothing was given')
        if (hasBreak(text)) throw refuse('it has a line break or another control character in it')
        if (pattern !== undefined && !new RegExp(`^(?:${pattern})$`, 'u').test(text)) throw refuse('it does not have the form of one')
        if (inHeaders.includes(part) && /[^\x20-\x7e]/.test(text)) throw refuse('it has a character in it that no header can have')
        if (isSecret(part) && text === current?.parts[part]) throw refuse('it is the one that is in use')
      }
      return { id: idOf(parts), parts }
    },

    verify: async (call, { parts }) => {
      if (how === undefined) return { works: true, sentence: 'it has the form of one; its consumers are asked whether it works' }
      const tried = await tryIt(how, parts, { call, world })
      if (tried.is === 'unclear') throw unclear(how, tried)
      return tried.is === 'works' ? { works: true, sentence: tried.sentence } : { works: false, later: false, sentence: tried.sentence }
    },

    // Asked only for what a person ends.
    revoke: async (call, { parts }) => {
      const where = how === undefined ? 'the issuer' : placeOf(how)
      const alone = `only a person can end ${nameOf(call)}`
      if (how === undefined) throw outside('refused', where, alone)
      const tried = await tryIt(how, parts, { call, world })
      if (tried.is === 'unclear') throw unclear(how, tried)
      if (tried.is === 'works') throw outside('refused', where, alone)
    },

    adopt: async (_, parts) => ({ id: idOf(parts), parts }),
  }
  /** What the issuer calls it, where that is pasted as well. */
  const idOf = (parts: Parts): string | null => (names.includes('id') && !isSecret('id') ? (parts.id ?? null) : null)
  if (revocation === undefined) return rotator
  const place = revocation.url ?? url
  return {
    ...rotator,
    revocation: async (call, { parts }: Credential) => ({
      title: revocation.title ?? 'End the credential that was in use until now',
      instructions: named(revocation.instructions, call, (part) => (isSecret(part) ? undefined : parts[part])),
      ...(place !== undefined && { url: place }),
      paste: [],
    }),
  }
}

const nameOf = ({ attempt }: Call): string => `keyturn-${attempt}`
/** Only what is known is put in: braces have other uses in instructions. */
const named = (text: string, call: Call, shown: (part: string) => string | undefined = () => undefined): string =>
  text.replace(/\{([A-Za-z][A-Za-z0-9]*)\}/g, (found, part: string) => (part === 'name' ? nameOf(call) : (shown(part) ?? found)))
const fault = (sentence: string): Finding => ({ severity: 'fault', sentence })
const warning = (sentence: string): Finding => ({ severity: 'warning', sentence })

function isPattern(pattern: string): boolean {
  try {
    new RegExp(`^(?:${pattern})$`, 'u')
    return true
  } catch {
    return false
  }
}
