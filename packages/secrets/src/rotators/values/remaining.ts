import { outside } from '../../outside/failure.ts'
import type { Credential } from '../../secret/credential.ts'

/** @throws a refusal where the credential to be ended is the one that consumers are to keep */
export function assertNotRemaining(where: string, id: string | null, successor: Credential | null): void {
  if (id !== null && id === successor?.id) throw outside('refused', where, `${id} is the one that remains`)
}
