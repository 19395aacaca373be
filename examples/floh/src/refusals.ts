/** What was asked for is not there. */
export class NotFound extends Error {
  /** For `executeTakeFirstOrThrow`. */
  static of(what: string): () => NotFound {
    return () => new NotFound(`there is no such ${what}`)
  }
}

/** What was sent makes no sense. The message holds nothing of it. */
export class BadRequest extends Error {}
