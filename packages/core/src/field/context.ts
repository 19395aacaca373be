/** Permanent names and bound values that are authenticated with a value. */
export interface Context {
  /** Name of the keyring: `[A-Za-z0-9._-]{1,128}`. A permanent name. */
  readonly keyring: string
  /** Name of the field: `[A-Za-z0-9._-]{1,128}`. A permanent name, not a location. */
  readonly field: string
  /** The bound values in their declared order, each in its canonical bytes. */
  readonly bound: readonly Uint8Array[]
}

/** What names of keyrings and fields look like. They are authenticated with every value and can never be changed. */
export const permanentName = /^[A-Za-z0-9._-]{1,128}$/
