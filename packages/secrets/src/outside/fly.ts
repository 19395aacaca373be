import { setTimeout as sleep } from 'node:timers/promises'
import { isKeyturnError, type SecretRef } from '@keyturn/core'
import { z } from 'zod'
import type { Call, World } from '../secret/call.ts'
import { httpUrl, secretRef } from '../secret/options.ts'
import { outside, waitOf } from './failure.ts'
import { type Answer, ask, type Request } from './http.ts'

/** What the store and the target of Fly have in common. */
export const flyOptions = {
  app: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, { error: 'expected the name of an app' }),
  /** A deploy token of the app: `fly tokens create deploy`. */
  token: secretRef,
  /** The Machines API; that of Fly unless given. */
  endpoint: httpUrl.optional(),
  /** How long to wait after an answer that there were too many calls, and between two looks, in milliseconds. Fly takes one call a second. */
  pauseMs: z.int().min(1).max(60_000).optional(),
}

interface FlyOptions {
  readonly app: string
  readonly token: SecretRef
  readonly endpoint?: string | undefined
  readonly pauseMs?: number | undefined
}

type Asking = Partial<Pick<Request, 'method' | 'headers' | 'body' | 'expect'>>

/** An app of Fly, by the Machines API. */
export class FlyApp {
  readonly name: string
  readonly where: string
  readonly #options: FlyOptions
  readonly #world: World

  constructor(options: FlyOptions, world: World) {
    this.name = options.app
    this.where = `the API of Fly, app "${options.app}"`
    this.#options = options
    this.#world = world
  }

  /**
   * Asks `/apps/NAME/PATH`. What was refused because of too many calls is asked again until the call is over.
   *
   * @throws what `ask` throws; `ERR_OUTSIDE_BUSY` only when the call is over
   */
  async ask({ signal }: Call, path: string, asking: Asking = {}): Promise<Answer> {
    const { app, token, endpoint = 'https://api.machines.dev/v1' } = this.#options
    const url = `${endpoint.replace(/\/$/, '')}/apps/${app}/${path}`
    // `fly tokens` prints the kind in front, and other tokens behind a comma.
    const authorization = `Bearer ${(await this.#world.read(token)).replace(/^FlyV1 /, '')}`
    for (;;) {
      try {
        return await ask({ where: this.where, url, signal, ...asking, headers: { authorization, ...asking.headers } })
      } catch (error) {
        if (!isKeyturnError(error, 'ERR_OUTSIDE_BUSY') || (await this.pause({ signal }, waitOf(error)))) throw error
      }
    }
  }

  /** Waits a moment, or longer where an answer asked for it. @returns whether the call is over */
  pause({ signal }: Pick<Call, 'signal'>, askedMs = 0): Promise<boolean> {
    return sleep(Math.max(askedMs, this.#options.pauseMs ?? 1_100), false, { signal }).catch(() => true)
  }

  /** Sets and deletes secrets in one batch. Machines do not notice. @returns the version that holds them */
  async setSecrets(call: Call, values: { readonly [name: string]: string | null }): Promise<number> {
    const { body } = await this.ask(call, 'secrets', { method: 'POST', body: { values } })
    const version = typeof body === 'object' && body !== null && 'version' in body ? Number(body.version) : Number.NaN
    if (!Number.isSafeInteger(version)) throw outside('uncertain', this.where, 'it answered without a version of the secrets')
    return version
  }
}
