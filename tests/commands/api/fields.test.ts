import { describe, expect, test } from 'bun:test'
import { buildObject, type Field, splitField, toQuery, typedValue } from '../../../lib/commands/api/fields.ts'

const fieldsOf = (texts: readonly string[]): Field[] =>
  texts.map(text => {
    const { key, value } = splitField(text, '--field')
    return { key, value: value === undefined ? undefined : typedValue(value) }
  })

describe('fields', () => {
  const CASES: [fields: string[], body: string, query: string][] = [
    [['a=1', 'b=x=y', 'c='], '{"a":1,"b":"x=y","c":""}', 'a=1&b=x%3Dy&c='],
    [['a=null', 'b=false', 'c=-3'], '{"a":null,"b":false,"c":-3}', 'a=&b=false&c=-3'],
    [
      ['a=1.5', 'b=007', 'c=9007199254740993'],
      '{"a":"1.5","b":"007","c":9007199254740993}',
      'a=1.5&b=007&c=9007199254740993',
    ],
    [['a[b][c]=1', 'a[b][d]=2'], '{"a":{"b":{"c":1,"d":2}}}', 'a%5Bb%5D%5Bc%5D=1&a%5Bb%5D%5Bd%5D=2'],
    [['a[]=1', 'a[]=2'], '{"a":[1,2]}', 'a%5B%5D=1&a%5B%5D=2'],
    [['a[]'], '{"a":[]}', ''],
    [['a[b][]'], '{"a":{"b":[]}}', ''],
    [['a[]', 'a[]=1'], '{"a":[1]}', 'a%5B%5D=1'],
    [
      ['a[][b]=1', 'a[][c]=2', 'a[][b]=3'],
      '{"a":[{"b":1,"c":2},{"b":3}]}',
      'a%5B%5D%5Bb%5D=1&a%5B%5D%5Bc%5D=2&a%5B%5D%5Bb%5D=3',
    ],
    [['a[][b][]=1', 'a[][b][]=2'], '{"a":[{"b":[1,2]}]}', 'a%5B%5D%5Bb%5D%5B%5D=1&a%5B%5D%5Bb%5D%5B%5D=2'],
    [
      ['a[][b][c]=1', 'a[][b][c]=2'],
      '{"a":[{"b":{"c":1}},{"b":{"c":2}}]}',
      'a%5B%5D%5Bb%5D%5Bc%5D=1&a%5B%5D%5Bb%5D%5Bc%5D=2',
    ],
    [['__proto__[x]=1'], '{"__proto__":{"x":1}}', '__proto__%5Bx%5D=1'],
  ]
  test.each(CASES)('fields: %j become a JSON body and a query', (texts, body, query) => {
    const fields = fieldsOf(texts)
    expect(JSON.stringify(buildObject(fields))).toBe(body)
    expect(new URLSearchParams(toQuery(fields)).toString()).toBe(query)
  })

  const WRONG: [fields: string[], message: string][] = [
    [['a'], '--field needs key=value; "a" is not that.'],
    [['=1'], '--field needs key=value; "=1" is not that.'],
    [['a=1', 'a=2'], 'The field "a" contradicts an earlier one.'],
    [['a=9007199254740993', 'a[b]=2'], 'The field "a[b]" contradicts an earlier one.'],
    [['a=1', 'a[]=2'], 'The field "a[]" contradicts an earlier one.'],
    [['a[]=1', 'a[b]=2'], 'The field "a[b]" contradicts an earlier one.'],
    [['a[b=1'], '"a[b" is not a field name.'],
    [['a]b=1'], '"a]b" is not a field name.'],
  ]
  test.each(WRONG)('fields: %j are refused', (texts, message) => {
    expect(() => buildObject(fieldsOf(texts))).toThrow(message)
  })
})
