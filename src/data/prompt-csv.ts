import { FormatError } from "../core/errors.ts";
import { type FoundPrompt, type PromptSource, promptColumn } from "./prompt-column.ts";

/** The prompts of a CSV file with a header; blank lines do not count. Throws FormatError, ConfigError for the column. */
export function* csvPrompts(text: string, source: PromptSource): Generator<FoundPrompt> {
  let header: string[] | undefined;
  let index = 0;
  for (const { line, fields } of csvRecords(text, source.name)) {
    const where = `${source.name}: line ${line}`;
    if (header === undefined) {
      header = fields;
      index = promptColumn(header, source.column, where);
      continue;
    }
    if (fields.length !== header.length) {
      throw new FormatError(
        `${where} has ${fields.length} fields, but the header has ${header.length}. A field that contains commas, quotes or line breaks stands in quotes.`,
      );
    }
    yield { value: fields[index], where };
  }
}

/** One record, and the line (from 1) on which it begins. */
export interface CsvRecord {
  line: number;
  fields: string[];
}

const LINE_BREAK = /\r\n|\r|\n/g;

/** The records of a CSV text by RFC 4180, with CRLF, LF or CR between them. Throws FormatError, naming line and rule. */
export function* csvRecords(text: string, name: string): Generator<CsvRecord> {
  const separator = /,|\r\n|\r|\n|$/y;
  let at = 0;
  let line = 1;
  while (at < text.length) {
    const begin = at;
    const record: CsvRecord = { line, fields: [] };
    let met: string;
    do {
      const { value, end } = text[at] === '"' ? quotedField(text, at, `${name}: line ${line}`) : plainField(text, at);
      line += value.match(LINE_BREAK)?.length ?? 0;
      separator.lastIndex = end;
      const found = separator.exec(text);
      if (found === null) {
        throw new FormatError(
          `${name}: line ${line}: a field that contains a quote stands in quotes from end to end, with the quotes inside doubled, but ${JSON.stringify(text.slice(at, end + 1).slice(-40))} came.`,
        );
      }
      record.fields.push(value);
      met = found[0];
      at = end + met.length;
    } while (met === ",");
    line++;
    const blank = at - met.length === begin;
    if (!blank) yield record;
  }
}

interface Field {
  value: string;
  /** Where the text goes on after it. */
  end: number;
}

function plainField(text: string, begin: number): Field {
  const special = /[",\r\n]/g;
  special.lastIndex = begin;
  const end = special.exec(text)?.index ?? text.length;
  return { value: text.slice(begin, end), end };
}

function quotedField(text: string, begin: number, where: string): Field {
  let end = begin;
  do {
    end = text.indexOf('"', end + 1);
    if (end < 0) throw new FormatError(`${where}: a field begins with a quote that is never closed.`);
  } while (text[end + 1] === '"' && ++end);
  return { value: text.slice(begin + 1, end).replaceAll('""', '"'), end: end + 1 };
}
