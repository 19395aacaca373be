import { AwsError } from './aws-error.ts'
import type { Input, Protocol } from './offer.ts'

type Json = { readonly [name: string]: unknown }

/** JSON 1.1: the operation stands in a header, `x-amz-target: secretsmanager.GetSecretValue`. */
export function json({ target }: { readonly target: string }): Protocol {
  return {
    read: (request, body) => {
      const [prefix, operation = ''] = String(request.headers['x-amz-target']).split('.')
      if (prefix !== target || request.headers['content-type'] !== 'application/x-amz-json-1.1') return null
      return { operation, input: new JsonInput(JSON.parse(body.toString('utf8'))) }
    },
    answer: (_, result) => answered(200, result),
    refuse: ({ code, status, message }) => answered(status, { __type: code, Message: message }),
    signature: {
      missing: new AwsError('MissingAuthenticationTokenException', 400, 'Missing Authentication Token'),
      'unknown-key': new AwsError('UnrecognizedClientException', 400, 'The security token included in the request is invalid.'),
      mismatch: new AwsError('InvalidSignatureException', 400, 'The request signature we calculated does not match.'),
    },
    covers: ['x-amz-target'],
  }
}

const answered = (status: number, body: object) => ({
  status,
  contentType: 'application/x-amz-json-1.1',
  body: JSON.stringify(body),
})

class JsonInput implements Input {
  readonly #json: Json

  constructor(json: Json) {
    this.#json = json
  }

  text(name: string) {
    const value = this.#json[name]
    return typeof value === 'string' ? value : null
  }

  required(name: string) {
    const value = this.text(name)
    if (value === null) throw new AwsError('InvalidParameterException', 400, `Invalid ${name}`)
    return value
  }

  flag(name: string) {
    const value = this.#json[name]
    return typeof value === 'boolean' ? value : null
  }

  number(name: string) {
    const value = this.#json[name]
    return typeof value === 'number' ? value : null
  }

  texts(name: string) {
    const value = this.#json[name]
    return Array.isArray(value) ? value.map(String) : null
  }

  inner(name: string) {
    const value = this.#json[name]
    return typeof value === 'object' && value !== null ? new JsonInput(value as Json) : null
  }
}
