import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { KeyRule } from '../config/config.ts'
import { isKeyturnError } from '../errors.ts'
import { keyFromText } from './key-rule.ts'

const bytes = Buffer.from(Array.from({ length: 32 }, (_, n) => 255 - n))
const text = 'thirty-two characters, no more..'
const keyOf = (key: string, rule: KeyRule) => keyFromText(key, rule, 'ENCRYPTION_KEY').exportPlaintextKey()

describe('accepted', () => {
  test.each<[KeyRule, string, Buffer]>([
    ['hex', bytes.toString('hex'), bytes],
    ['hex', bytes.toString('hex').toUpperCase(), bytes],
    ['hex', `${bytes.toString('hex')}\r\n`, bytes],
    ['base64', bytes.toString('base64'), bytes],
    ['base64', bytes.toString('base64').replace('=', ''), bytes],
    ['base64url', bytes.toString('base64url'), bytes],
    ['utf8', text, Buffer.from(text)],
    ['utf8', 'ä'.repeat(16), Buffer.from('ä'.repeat(16))],
    ['passphrase', 'sixteen letters!', createHash('sha256').update('sixteen letters!').digest()],
    ['passphrase', ' with spaces around it ', createHash('sha256').update(' with spaces around it ').digest()],
  ])('by %s: %s', (rule, key, expected) => {
    expect(keyOf(key, rule)).toEqual(expected)
  })
})

describe('refused, without a word of the text', () => {
  test.each<[KeyRule, string]>([
    ['hex', bytes.toString('hex').slice(1)],
    ['hex', `${bytes.toString('hex')}0`],
    ['hex', `${bytes.toString('hex').slice(1)}g`],
    ['hex', `0x${bytes.toString('hex').slice(2)}`],
    ['base64', bytes.toString('base64url')],
    ['base64', `${bytes.toString('base64')}=`],
    ['base64', `${'A'.repeat(42)}B=`],
    ['base64url', bytes.toString('base64')],
    ['utf8', text.slice(1)],
    ['utf8', `${text}.`],
    ['utf8', `${text.slice(1)}ä`],
    ['utf8', `${text}\n`],
    ['passphrase', 'fifteen letters'],
    ['passphrase', '😀'.repeat(15)],
    ['passphrase', `\ud800${text}`],
  ])('by %s: %s', (rule, key) => {
    try {
      keyOf(key, rule)
      expect.unreachable()
    } catch (error) {
      if (!isKeyturnError(error, 'ERR_KEY_FORMAT')) throw error
      expect(error.message).toContain('ENCRYPTION_KEY')
      expect(error.message).toContain(`"${rule}"`)
      expect(error.message).not.toContain(key)
    }
  })
})
