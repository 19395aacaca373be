import { randomBytes } from 'node:crypto'
import type { Stored } from '../field/codec.ts'
import type { Field } from '../field/field.ts'
import { KeyMaterial, KeyVersion } from '../keyring/key-version.ts'

/** What `encrypt` would write. Under a key of the moment, so that no message of a real key is spent. */
export function sealedForAMoment(field: Field, plaintext: Uint8Array, bound: readonly Uint8Array[]): Stored {
  const version = new KeyVersion(field.keyring.snapshot.active, new KeyMaterial(randomBytes(32)))
  return field.seal(plaintext, bound, version)
}
