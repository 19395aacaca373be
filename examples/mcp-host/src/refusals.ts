/** What was asked for is not there. */
export class NotFound extends Error {}

/** What was sent cannot be done as things stand. The message holds nothing of it. */
export class Refused extends Error {}
