import { fail, isKeyturnError } from '@keyturn/core'
import { type Attempt, againOf, begin, forgive, scopesOf, succeed } from './attempts.ts'
import { knownBrowser, markBrowser } from './browsers.ts'
import type { Entrance } from './entrance.ts'
import { type Ground, record, time } from './ground.ts'
import { fold, isOutdated, type Passwords } from './password.ts'
import { type Refusal, refuse } from './refusals.ts'
import { beginSession, endSession } from './sessions.ts'
import { credentialsOf, rehash } from './users.ts'

/** What passwords are checked with. */
export interface SignInParts {
  readonly ground: Ground
  readonly passwords: Passwords
  readonly entrance: Entrance
}

/** Somebody who wants to be let in. */
export interface SignIn {
  readonly name: string
  readonly password: string
  readonly address: string
  /** What the cookies of the request hold; empty texts if nothing. */
  readonly mark: string
  readonly formerSession: string
}

/** What is put into cookies. */
export interface SignedIn {
  readonly userId: string
  readonly session: string
  readonly mark: string
}

type Credentials = NonNullable<Awaited<ReturnType<typeof credentialsOf>>>

/**
 * Lets in who knows the password. Whatever was wrong is answered alike, after the same work, and is on record.
 *
 * @throws `ERR_UNAUTHORIZED`, or `ERR_RATE_LIMITED` with the seconds to wait
 */
export async function signIn(parts: SignInParts, { password, address, mark, formerSession, ...by }: SignIn): Promise<SignedIn> {
  const { ground } = parts
  const folded = fold(by.name)
  const browser = await knownBrowser(ground, mark, folded)
  const user = await credentialsOf(ground, 'folded', folded)
  const attempt = scopesOf({ folded, address, browser })
  const refusal: Refusal = { address, name: user?.name ?? '', reason: 'password' }
  const hashed = await holding(parts, { attempt, user, password, known: browser !== null, refusal })
  if (hashed === null || user === null) throw fail('ERR_UNAUTHORIZED')
  return await letIn(ground, { ...user, hashed }, { address, browser, formerSession })
}

/** Whether it is the password of a user who is signed in. @throws `ERR_RATE_LIMITED` */
export async function holdsAgain(parts: SignInParts, userId: string, password: string, address: string): Promise<boolean> {
  const user = await credentialsOf(parts.ground, 'id', userId)
  const refusal: Refusal = { address, name: user?.name ?? '', reason: 'password-again' }
  return (await holding(parts, { attempt: againOf(userId), user, password, known: true, refusal })) !== null
}

interface Trial {
  readonly attempt: Attempt
  readonly user: Credentials | null
  readonly password: string
  readonly known: boolean
  readonly refusal: Refusal
}

/** @returns the hash that is stored of the password, if it is that; else null */
async function holding(parts: SignInParts, trial: Trial): Promise<string | null> {
  const { ground, passwords } = parts
  const { attempt, user, password, known, refusal } = trial
  const limited = async (error: unknown) => {
    if (isKeyturnError(error, 'ERR_RATE_LIMITED')) await refuse(ground, { ...refusal, reason: 'limited' })
    throw error
  }
  await begin(ground, attempt).catch(limited)
  const right = await passwords.holds(password, user?.hashed ?? null, known).catch(async (error: unknown) => {
    // Nobody looked at the password: too many waited.
    await forgive(ground, attempt)
    return await limited(error)
  })
  if (!right || user === null) {
    await refuse(ground, refusal)
    return null
  }
  await succeed(ground, attempt)
  if (!isOutdated(user.hashed)) return user.hashed
  const anew = await passwords.hash(password)
  await rehash(ground, user.id, user.hashed, anew)
  return anew
}

interface Entry {
  readonly address: string
  readonly browser: string | null
  readonly formerSession: string
}

/** A new session; one that the browser had ends, so that nobody goes on in it. None if the password was changed since it was read. */
async function letIn(ground: Ground, { id, name, hashed }: Credentials, { address, browser, formerSession }: Entry): Promise<SignedIn> {
  const { state, now } = ground
  return await state.transaction(async (sql) => {
    const { rows } = await sql.query(
      `UPDATE ${state.schema}.user_account SET last_seen_at = ${time('$2')} WHERE id = $1::text AND password = $3::text RETURNING 1 AS found`,
      [id, now(), hashed],
    )
    if (rows.length === 0) throw fail('ERR_UNAUTHORIZED')
    if (formerSession !== '') await endSession(sql, state.schema, formerSession)
    const session = await beginSession(sql, ground, id)
    const mark = await markBrowser(sql, ground, id, browser)
    await record(sql, ground, { actor: `user:${name}`, action: 'session.create', subject: `user/${id}`, data: { address } })
    return { userId: id, session, mark }
  })
}
