import { inspect } from 'node:util'
import { fail } from '../errors.ts'
import { permits } from './key-state.ts'
import type { KeyVersion } from './key-version.ts'

/** A named set of key versions, exactly one of them active. What an application encrypts with. Immutable: one moment's truth. */
export class Keyring {
  readonly name: string
  /** Goes up by one with each save; 0 for a keyring that is not stored. */
  readonly revision: number
  readonly #versions: Map<string, KeyVersion>
  readonly #active: KeyVersion | null

  /** @throws `ERR_KEY_NOT_FOUND` unless exactly one version is active, or none for `decryptOnly` */
  constructor(name: string, revision: number, versions: readonly KeyVersion[], { decryptOnly = false } = {}) {
    const [active, ...others] = versions.filter(({ state }) => permits[state].encrypt)
    if ((active === undefined) !== decryptOnly || others.length > 0)
      throw fail('ERR_KEY_NOT_FOUND', name, 'in state active, or has more than one')
    this.name = name
    this.revision = revision
    this.#active = active ?? null
    this.#versions = new Map(versions.map((version) => [version.id, version]))
  }

  /** The version that encrypts. @throws `ERR_USAGE` where none does */
  get active(): KeyVersion {
    if (this.#active === null) throw fail('ERR_USAGE', `keyring "${this.name}" only decrypts`)
    return this.#active
  }

  /** Whether no version encrypts: its values are read, and move to another keyring. */
  get decryptOnly(): boolean {
    return this.#active === null
  }

  /** The version of this id, also a destroyed one; undefined if there is none. */
  get(id: string): KeyVersion | undefined {
    return this.#versions.get(id)
  }

  /** All versions, in order of their number. */
  get versions(): KeyVersion[] {
    return [...this.#versions.values()].sort((a, b) => a.number - b.number)
  }

  toJSON(): object {
    return { name: this.name, revision: this.revision, versions: this.versions }
  }

  [inspect.custom](): string {
    return `Keyring { name: '${this.name}', revision: ${this.revision}, active: '${this.#active?.id ?? 'none'}', versions: ${this.#versions.size} }`
  }
}
