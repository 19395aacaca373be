import { randomUUID } from 'node:crypto'
import { AwsError } from './aws-error.ts'
import type { Input, Protocol } from './offer.ts'

/** What an answer is made of. A list repeats its own name: `{ Users: { member: [ … ] } }`. */
type Xml = string | number | boolean | Date | undefined | { readonly [name: string]: Xml | readonly Xml[] }

/** AWS Query: a form comes in, XML goes out. Codes are short (`LimitExceeded`); the SDK makes `LimitExceededException` of them. */
export function query({ version, namespace }: { readonly version: string; readonly namespace: string }): Protocol {
  return {
    read: (request, body) => {
      if (!/^application\/x-www-form-urlencoded\b/.test(request.headers['content-type'] ?? '')) return null
      const form = new URLSearchParams(body.toString('utf8'))
      return form.get('Version') === version ? { operation: form.get('Action') ?? '', input: new FormInput(form) } : null
    },
    answer: (operation, result) => {
      const inner = Object.keys(result).length === 0 ? {} : { [`${operation}Result`]: result as Xml }
      const members = render({ ...inner, ResponseMetadata: { RequestId: randomUUID() } })
      return answered(200, `<${operation}Response xmlns="${namespace}">${members}</${operation}Response>`)
    },
    refuse: ({ code, status, message }) => {
      const error = { Type: status >= 500 ? 'Receiver' : 'Sender', Code: code, Message: message }
      const members = render({ Error: error, RequestId: randomUUID() })
      return answered(status, `<ErrorResponse xmlns="${namespace}">${members}</ErrorResponse>`)
    },
    signature: {
      missing: new AwsError('MissingAuthenticationToken', 403, 'Request is missing Authentication Token'),
      'unknown-key': new AwsError('InvalidClientTokenId', 403, 'The security token included in the request is invalid.'),
      mismatch: new AwsError(
        'SignatureDoesNotMatch',
        403,
        'The request signature we calculated does not match the signature you provided.',
      ),
    },
    covers: [],
  }
}

const answered = (status: number, body: string) => ({ status, contentType: 'text/xml', body })

function render(value: Xml): string {
  if (value === undefined) return ''
  if (value instanceof Date) return `${value.toISOString().slice(0, 19)}Z`
  if (typeof value !== 'object') return String(value).replace(/[<>&"']/g, (character) => `&#${character.charCodeAt(0)};`)
  return Object.entries(value)
    .flatMap(([name, inner]) => (Array.isArray(inner) ? inner : [inner]).map((one: Xml) => ({ name, one })))
    .filter(({ one }) => one !== undefined)
    .map(({ name, one }) => `<${name}>${render(one)}</${name}>`)
    .join('')
}

class FormInput implements Input {
  readonly #form: URLSearchParams
  readonly #prefix: string

  constructor(form: URLSearchParams, prefix = '') {
    this.#form = form
    this.#prefix = prefix
  }

  text(name: string) {
    return this.#form.get(this.#prefix + name)
  }

  required(name: string) {
    const value = this.text(name)
    if (value === null) throw new AwsError('ValidationError', 400, `1 validation error detected: '${name}' must not be null`)
    return value
  }

  flag(name: string) {
    const value = this.text(name)
    return value === null ? null : value === 'true'
  }

  number(name: string) {
    const value = this.text(name)
    return value === null ? null : Number(value)
  }

  texts(name: string) {
    const values: string[] = []
    for (let value = this.text(`${name}.member.1`); value !== null; value = this.text(`${name}.member.${values.length + 1}`))
      values.push(value)
    return values.length === 0 ? null : values
  }

  inner(name: string) {
    const prefix = `${this.#prefix}${name}.`
    return [...this.#form.keys()].some((key) => key.startsWith(prefix)) ? new FormInput(this.#form, prefix) : null
  }
}
