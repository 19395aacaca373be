/** Wraps and unwraps data keys under a root key (KEK) that Keyturn need not see. */
export interface KeyWrapper {
  readonly name: string
  /** Names the root key, the same for the same key in every process; says nothing about its bytes. Stored beside each wrapping. */
  readonly rootId: string
  /**
   * Seals `key` together with `associatedData` (authenticated, not stored).
   *
   * @throws ServiceError when the root key cannot be reached
   */
  wrap(key: Uint8Array, associatedData: Uint8Array): Promise<Uint8Array>
  /**
   * Opens what `wrap` made with the same associated data.
   *
   * @throws `ERR_DECRYPT` for every kind of bad input
   * @throws ServiceError when the root key cannot be reached
   */
  unwrap(wrapped: Uint8Array, associatedData: Uint8Array): Promise<Uint8Array>
}
