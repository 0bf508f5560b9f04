// Usage: node generate_types.mjs SCHEMAS OUTPUT
// Generates types from SCHEMAS/asyncapi.yaml and SCHEMAS/json with the tools of integrators, into
// one folder of OUTPUT for each tool, and validates SCHEMAS/examples with Ajv in strict mode.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { GoFileGenerator, TypeScriptFileGenerator } from "@asyncapi/modelina";
import { Parser } from "@asyncapi/parser";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { compile } from "json-schema-to-typescript";
import { FetchingJSONSchemaStore, InputData, JSONSchemaInput, quicktype } from "quicktype-core";

const [schemas, output] = process.argv.slice(2);
const folder = (name) => {
  const path = join(output, name);
  mkdirSync(path, { recursive: true });
  return path;
};
const documents = readdirSync(join(schemas, "json")).map((file) => {
  const text = readFileSync(join(schemas, "json", file), "utf8");
  return { name: basename(file, ".json"), text, schema: JSON.parse(text) };
});

async function modelina() {
  const text = readFileSync(join(schemas, "asyncapi.yaml"), "utf8");
  const { document, diagnostics } = await new Parser().parse(text);
  if (document === undefined) throw new Error(JSON.stringify(diagnostics));
  const options = { moduleSystem: "ESM" };
  await new TypeScriptFileGenerator({ ...options, modelType: "interface" }).generateToFiles(
    document, folder("modelina-typescript"), { exportType: "named" }, true);
  await new GoFileGenerator().generateToFiles(
    document, folder("modelina-go"), { packageName: "messages" }, true);
}

async function jsonSchemaToTypeScript() {
  const path = folder("json-schema-to-typescript");
  const options = { bannerComment: "", format: false };
  for (const { name, schema } of documents) {
    writeFileSync(join(path, `${name}.ts`), await compile(schema, name, options));
  }
}

async function quicktypeToGo() {
  const input = new JSONSchemaInput(new FetchingJSONSchemaStore());
  for (const { text, schema } of documents) {
    await input.addSource({ name: schema.title, schema: text });
  }
  const inputData = new InputData();
  inputData.addInput(input);
  const { lines } = await quicktype({
    inputData, lang: "go", rendererOptions: { package: "messages" } });
  writeFileSync(join(folder("quicktype-go"), "messages.go"), lines.join("\n"));
}

function ajv() {
  const checker = new Ajv2020({ strict: true, allErrors: true });
  addFormats(checker);
  for (const { name, schema } of documents) {
    const example = JSON.parse(readFileSync(join(schemas, "examples", `${name}.json`), "utf8"));
    const validate = checker.compile(schema);
    if (!validate(example)) throw new Error(`${name}: ${checker.errorsText(validate.errors)}`);
  }
}

ajv();
await jsonSchemaToTypeScript();
await quicktypeToGo();
await modelina();
