/** The parts of a credential by name: `{ user, password }`, `{ accessKeyId, secretAccessKey }`, `{ value }`. */
export interface Parts {
  readonly [part: string]: string
}

/** A credential as it was issued. */
export interface Credential {
  /** What the issuer calls it, and no secret: the id of a key, the name of a role. Null where the issuer has one unnamed password. */
  readonly id: string | null
  readonly parts: Parts
}

/** A credential that the issuer lists, without its secret. */
export interface Listed {
  readonly id: string
  /** The name it was given, in which we look for our attempt; null where the issuer keeps none. */
  readonly name: string | null
  /** In milliseconds since 1970; null where the issuer does not say. */
  readonly createdAt: number | null
  /** Whether anybody has used it; null where the issuer does not say. */
  readonly used: boolean | null
  readonly enabled: boolean
}
