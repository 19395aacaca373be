import type { Call, Finding, Verdict } from './call.ts'
import type { Credential, Listed, Parts } from './credential.ts'
import type { Task } from './task.ts'

/**
 * Makes, tries and ends one kind of credential at its issuer.
 *
 * Every method may be called again after a crash, or after an answer that never came; each says what that must do. Errors are those
 * of `outside/`: busy (nothing happened), uncertain (it may have), refused (it will not).
 */
export interface Rotator {
  /** The parts of its credentials, and which of them are secret: the others may be shown. */
  readonly parts: { readonly [part: string]: 'secret' | 'public' }
  /**
   * Whether the old credential goes on working until it is revoked. Where it is false the issuer has one password only: the moment
   * the new one is made the old one ends, and a plan says so.
   */
  readonly overlap: boolean
  /**
   * False for a value that nobody issues and its consumers agree on, such as a key that signs tokens: it ends when they no longer have it, so that
   * nothing is revoked and nothing can be seen to refuse it.
   */
  readonly issuer?: false
  /** True where Keyturn makes none: somebody else does, and it is taken over from the source of truth. A rotation of it is refused. */
  readonly kept?: true
  /**
   * Slots that the templates of the stores must mention, for values that consumers share: `next` where all must know the new one before the first
   * uses it, `previous` where what was made with the old one must stay valid. Each slot mentioned is a deployment of its own.
   */
  readonly needs?: readonly ('next' | 'previous')[]
  /**
   * Whose limits its calls count against: a short name such as `aws`. Parts of one name that are configured with the same addresses and logins share
   * them. Unless given, nothing limits it but what a configuration says of the part's own name.
   */
  readonly provider?: string
  /** The longest that one call may take, in milliseconds; 30,000 unless given. */
  readonly callMs?: number
  /**
   * How long `create` may go on saying that it is busy, in milliseconds, where it does its work in parts; the deadline of the secret unless
   * given.
   */
  readonly workMs?: number
  /** How long `verify` may go on saying "later", in milliseconds; 120,000 unless given: some issuers take minutes to know what they made. */
  readonly settleMs?: number

  /** Looks whether it could work: the login, its rights, how many credentials there are. Changes nothing. */
  check(call: Call, current: Credential | null): Promise<readonly Finding[]>

  /**
   * Chooses the next credential, where we and not the issuer choose it. Changes nothing outside. It is sealed before `create` is called, and
   * `create` is called with the same one however often.
   */
  propose?(call: Call, current: Credential | null): Promise<Credential>
  /** What the issuer holds now, where it can say. Taken before `create`, and again after a crash, to find what was made and not heard of. */
  list?(call: Call): Promise<readonly Listed[]>
  /** What a person must do, where no API makes the credential. Then `create` is called with what the person gave. */
  readonly task?: (call: Call, current: Credential | null) => Promise<Task>
  /**
   * Makes it valid. With `given` (proposed, or pasted by a person) a repetition has the same effect as one call. Without, each call may make another
   * one: the engine calls again only after `list` has shown what came of the last time.
   *
   * @param given - from `propose`, or the parts that a person pasted (`id` null)
   */
  create(call: Call, given: Credential | null, current: Credential | null): Promise<Credential>
  /** Tries it with a connection of its own, never one that was open before. Changes nothing. */
  verify(call: Call, credential: Credential): Promise<Verdict>
  /**
   * Whether anything of a credential is still accepted after it was ended: then it `works`. Absent where that is the question that `verify`
   * answers.
   */
  remains?(call: Call, credential: Credential): Promise<Verdict>
  /** When it was last used, in milliseconds since 1970; null if never, undefined where the issuer does not know. */
  lastUsed?(call: Call, credential: Credential): Promise<number | null | undefined>
  /** Makes the issuer refuse it, in a way that `enable` takes back. Repeating is harmless. */
  disable?(call: Call, credential: Credential): Promise<void>
  enable?(call: Call, credential: Credential): Promise<void>
  /**
   * Ends it for good. What is gone already is success. Also called for a new credential that is given up, and for orphans (`parts` empty): the
   * `id` is enough wherever there is one.
   *
   * @param successor - the credential that remains: where there is only one place, what must stand in it
   */
  revoke(call: Call, credential: Credential, successor: Credential | null): Promise<void>
  /** What a person must do to end the old one, where no API does. The run asks `verify` until it fails. */
  readonly revocation?: (call: Call, credential: Credential) => Promise<Task>
  /** Makes an old credential valid again, where `create` has ended it (`overlap` false). Repeating is harmless. */
  reinstate?(call: Call, credential: Credential): Promise<void>
  /**
   * True where nobody but its consumers can try it, and `verify` sees its form only. Then a gate must say that they work with it, and a person that what
   * is to end has ended.
   */
  readonly unverified?: true
  /** The credential that is in use before the first rotation, where the issuer can tell without being given its parts. */
  current?(call: Call): Promise<Credential | null>
  /** Completes the credential that is in use at the first rotation, from what the configuration gives: its id. @throws a refusal where it cannot be told */
  adopt?(call: Call, parts: Parts): Promise<Credential>
}
