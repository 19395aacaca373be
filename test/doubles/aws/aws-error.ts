/** What an AWS service answers instead of a result: its code as it goes over the wire, which is not always the name of the SDK's exception. */
export class AwsError extends Error {
  readonly code: string
  readonly status: number

  constructor(code: string, status: number, message = '') {
    super(message)
    this.code = code
    this.status = status
  }
}
