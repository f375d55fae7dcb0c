-- Names that break whoever formats them into text: quotes, spaces, semicolons, comments, reserved words, other scripts,
-- what YAML takes for something else, and what a playbook takes for a reference to the environment.
CREATE SCHEMA "odd; schema";
CREATE TABLE "ten""ant; DROP TABLE x; --" ("the ""id""" text PRIMARY KEY, "naïve name" text);
CREATE TABLE "odd; schema"."select" ("from" text PRIMARY KEY, "where;" text NOT NULL REFERENCES "ten""ant; DROP TABLE x; --");
CREATE TABLE "null" ("group by" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "ref: {x}" text NOT NULL REFERENCES "odd; schema"."select" ("from"), "#1" text UNIQUE);
CREATE TABLE "${HOME}" ("a'b" bigint NOT NULL REFERENCES "null" ("group by"), "%s" text, PRIMARY KEY ("a'b", "%s"));
CREATE TABLE "100" ("${x:-y}" text NOT NULL, "{0}" integer, CONSTRAINT "uq: [1], {2}" UNIQUE ("${x:-y}", "{0}"));
CREATE TABLE "表 Ταβλα ñandú 🦆" ("- id" uuid PRIMARY KEY DEFAULT gen_random_uuid(), "путь/ключ" text NOT NULL);
CREATE TABLE "line
break" ("tab	col" text NOT NULL REFERENCES "odd; schema"."select" ("from"));
CREATE TABLE "don't: use" (" lead" text NOT NULL, "trail " integer);
CREATE TABLE "true" ("~" jsonb NOT NULL);

INSERT INTO "ten""ant; DROP TABLE x; --" VALUES ('o''neill', 'A'), ('b"b', 'B'), ('c;c -- ${x}', 'C'), ('d%s{}', 'D');
INSERT INTO "odd; schema"."select" SELECT 'row ''' || n || ' "x" %s {} \', (ARRAY['o''neill', 'b"b', 'c;c -- ${x}', 'd%s{}'])[n % 4 + 1] FROM generate_series(1, 12) AS n;
INSERT INTO "null" ("ref: {x}", "#1") SELECT "from", 'n' || "from" FROM "odd; schema"."select";
INSERT INTO "${HOME}" SELECT "group by", 's' FROM "null";
INSERT INTO "100" SELECT "where;", row_number() OVER () FROM "odd; schema"."select";
INSERT INTO "表 Ταβλα ñandú 🦆" ("путь/ключ") SELECT 'файл/' || (ARRAY['o''neill', 'b"b', 'c;c -- ${x}', 'd%s{}'])[n % 4 + 1] || '/x' FROM generate_series(1, 8) AS n;
INSERT INTO "line
break" SELECT "from" FROM "odd; schema"."select";
INSERT INTO "don't: use" SELECT "from", 1 FROM "odd; schema"."select";
INSERT INTO "true" SELECT jsonb_build_object('a''b', jsonb_build_object('"', (ARRAY['o''neill', 'b"b'])[n % 2 + 1])) FROM generate_series(1, 6) AS n;
