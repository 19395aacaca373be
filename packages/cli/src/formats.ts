import type { KeyRule } from '@keyturn/core'
import blob from '@keyturn/core/codecs/blob'
import hexColon from '@keyturn/core/codecs/hex-colon'
import kt1 from '@keyturn/core/codecs/kt1'

type Codec = ReturnType<typeof kt1>

/** One format that Keyturn reads and writes, as `keyturn formats` lists it. */
export interface FormatFacts {
  readonly name: string
  readonly what: string
  /** The options, each with what it is unless given, and its values. */
  readonly options: { readonly [option: string]: string }
  /** Ways in which values of it may be written, each as it is declared, to find which one a value is in. */
  readonly variants: () => (readonly [declaration: string, codec: Codec])[]
}

const ivs = [12, 16, 13, 14, 15, 24, 32]
const iv = '12 unless given; bytes of the IV: 12 to 32'
const hexOrders = ['iv.tag.ct', 'iv.ct.tag', 'tag.iv.ct', 'tag.ct.iv', 'ct.iv.tag', 'ct.tag.iv'] as const

/** The formats. Which options a codec takes is checked by the codec itself; a test holds both together. */
export const formats: readonly FormatFacts[] = [
  {
    name: 'kt1',
    what: "Keyturn's own: AES-256-GCM under a key derived for the field; names its key; bound to keyring, field and columns",
    options: {},
    variants: () => [['kt1', kt1()]],
  },
  {
    name: 'hex-colon',
    what: 'AES-256-GCM: IV, tag and ciphertext in hexadecimal, joined by colons; names no key',
    options: { order: `iv.tag.ct unless given; ${hexOrders.join(' | ')}`, iv },
    variants: () => ivs.flatMap((iv) => hexOrders.map((order) => [`hex-colon,order=${order},iv=${iv}`, hexColon({ order, iv })] as const)),
  },
  {
    name: 'blob',
    what: 'AES-256-GCM: IV, ciphertext and tag one after another, in base64 or as bytes; names no key',
    options: { encoding: 'base64 unless given; base64 | bytes', order: 'iv.ct.tag unless given; iv.ct.tag | iv.tag.ct', iv },
    variants: () => (['base64', 'bytes'] as const).map((encoding) => [`blob,encoding=${encoding}`, blob({ encoding })] as const),
  },
  {
    name: 'plain',
    what: 'not encrypted yet; only read, and only where a configuration says by a pattern what it looks like',
    options: { looksLike: 'a regular expression; required' },
    variants: () => [],
  },
]

/** The key rules, and what each takes. */
export const keyRules: Record<KeyRule, string> = {
  hex: '64 hexadecimal characters',
  base64: 'the base64 text of 32 bytes',
  base64url: 'the base64url text of 32 bytes',
  utf8: 'exactly 32 characters of one byte each, taken as they are',
  passphrase: 'any text from 16 characters; the key is its SHA-256',
}
