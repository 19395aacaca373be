import { fail, type KeyringStatus, type SigningStatus } from '@keyturn/core'
import type { Call } from '../call.ts'
import type { Session } from '../session.ts'

/** Whether the keys of a keyring sign tokens: there are no values to rewrite, and no fences. */
export function signs({ keyturn }: Session, keyring: string): boolean {
  const declared = keyturn.config.keyrings[keyring]
  return declared !== undefined && 'sign' in declared && declared.sign !== undefined
}

/** Refuses what belongs to values. @throws `ERR_USAGE` */
export function assertForTokens({ options }: Call, keyring: string): void {
  const { field, mode, appStopped, setAside, rate, max, plan, out, to, acceptSetAside } = options
  const given = {
    field,
    mode,
    'app-stopped': appStopped,
    'set-aside': setAside,
    rate,
    max,
    plan,
    out,
    to,
    'accept-set-aside': acceptSetAside,
  }
  const [name] = Object.entries(given).find(([, value]) => value !== undefined) ?? []
  if (name !== undefined) throw fail('ERR_USAGE', `keyring "${keyring}" signs tokens and has no values: leave out --${name}`)
}

/** Refuses what belongs to tokens. @throws `ERR_USAGE` */
export function assertForValues({ options }: Call, keyring: string): void {
  const name = options.now ? 'now' : options.compromised ? 'compromised' : null
  if (name !== null) throw fail('ERR_USAGE', `keyring "${keyring}" encrypts values: --${name} is for one that signs tokens`)
}

/** A signing keyring as it stands. Null where it is not made yet. */
export async function standing(
  { keyturn }: Session,
  keyring: string,
): Promise<{ readonly keyring: KeyringStatus; readonly signing: SigningStatus } | null> {
  const [found] = (await keyturn.status(keyring)).keyrings
  return found === undefined || found.signing === null ? null : { keyring: found, signing: found.signing }
}
