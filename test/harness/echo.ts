import { text } from 'node:stream/consumers'

// A child for the tests of the harness: says that it is ready, then what it was given.
console.log('ready')
console.log(process.argv[2], process.env.ECHO, await text(process.stdin))
