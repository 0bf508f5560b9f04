// Usage: node validate_asyncapi.mjs FILE...
// Prints what AsyncAPI's own parser finds wrong with each file on stderr, and exits with 1 if it
// finds anything. Prints each correct document on stdout, as one line of JSON read by an
// independent YAML parser.
import { readFileSync } from "node:fs";
import { DiagnosticSeverity, Parser } from "@asyncapi/parser";
import yaml from "js-yaml";

for (const file of process.argv.slice(2)) {
  const text = readFileSync(file, "utf8");
  const { document, diagnostics } = await new Parser().parse(text, { source: file });
  const problems = diagnostics.filter((found) => found.severity <= DiagnosticSeverity.Warning);
  for (const { code, message, path } of problems) {
    console.error(`${file}: ${code} at ${path.join(".")}: ${message}`);
  }
  if (problems.length > 0 || document === undefined) {
    process.exitCode = 1;
  } else {
    console.log(JSON.stringify(yaml.load(text)));
  }
}
