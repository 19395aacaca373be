import type { IncomingMessage } from 'node:http'
import type { AwsError } from './aws-error.ts'
import type { SignatureFault } from './sigv4.ts'

/** An answer as it goes over the wire. */
export interface Answer {
  readonly status: number
  readonly contentType: string
  readonly body: string
}

/** How a service is spoken to. */
export interface Protocol {
  /** Operation and input of a request; null if it is for another service. */
  read(request: IncomingMessage, body: Buffer): { readonly operation: string; readonly input: Input } | null
  answer(operation: string, result: object): Answer
  refuse(error: AwsError): Answer
  /** The service's own words for a signature that is not accepted. */
  readonly signature: Readonly<Record<SignatureFault, AwsError>>
  /** Headers that a signature must cover. */
  readonly covers: readonly string[]
}

/** Who calls: a user with one of their keys, or somebody in a role. */
export interface Caller {
  readonly accessKeyId: string
  /** Null for temporary credentials. */
  readonly userName: string | null
  readonly userId: string
  readonly arn: string
}

/** The members of a request. A form has texts only, and lists as `Name.member.1`. */
export interface Input {
  /** Null where it is missing. */
  text(name: string): string | null
  /** @throws the protocol's error for a parameter that is missing */
  required(name: string): string
  flag(name: string): boolean | null
  number(name: string): number | null
  texts(name: string): readonly string[] | null
  /** A structure inside. */
  inner(name: string): Input | null
}

export type Operation = (input: Input, caller: Caller) => object | Promise<object>

/** One service of AWS. */
export interface Service {
  /** As in the scope of a signature. */
  readonly name: string
  readonly regions: readonly string[]
  readonly protocol: Protocol
  readonly throttled: AwsError
  readonly failed: AwsError
  readonly operations: Readonly<Record<string, Operation>>
}

/** As JSON 1.1 writes a date. */
export const seconds = (date: Date): number => date.getTime() / 1_000
