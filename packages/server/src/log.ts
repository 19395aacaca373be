import type { FastifyRequest } from 'fastify'
import { type DestinationStream, type Logger, pino } from 'pino'

/** What must not stand in a log, wherever somebody puts it. */
const secrets = ['authorization', 'cookie', '["set-cookie"]', 'password', 'secret', 'token']
const paths = secrets.flatMap((name) => {
  const member = name.startsWith('[') ? name : `.${name}`
  return [member.replace(/^\./, ''), `*${member}`, `req.headers${member}`, `res.headers${member}`]
})

/** What is logged of a request. Without its query: people and programs put there what belongs into a header. */
const req = ({ method, url, host, ip }: FastifyRequest) => ({ method, url: url.split('?')[0], host, remoteAddress: ip })

/** The log of a server: a line of JSON each, without secrets. */
export function serverLog(level: string, destination?: DestinationStream): Logger {
  const options = { level, redact: { paths, censor: '[redacted]' }, serializers: { req } }
  return destination === undefined ? pino(options) : pino(options, destination)
}
