import type { Codec } from '../field/codec.ts'
import type { CodecConfig } from './config.ts'
import { loadDriver } from './drivers.ts'

/** Formats that exist as text and as bytes follow their column, unless told. */
const followColumn: Readonly<Record<string, { readonly text: string; readonly bytes: string }>> = {
  kt1: { text: 'text', bytes: 'bytes' },
  blob: { text: 'base64', bytes: 'bytes' },
}

/** Makes the codec of a configuration for a column that holds text or bytes. @throws `ERR_UNKNOWN_DRIVER`, and `ERR_CONFIG` for its options */
export async function openCodec(config: CodecConfig, holds: 'text' | 'bytes'): Promise<Codec> {
  const { codec, ...options } = typeof config === 'string' ? { codec: config } : config
  const factory = await loadDriver<Codec>('codecs', codec)
  const encoding = followColumn[codec]?.[holds]
  return factory({ ...(encoding === undefined ? {} : { encoding }), ...options } as never)
}
