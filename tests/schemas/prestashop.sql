-- A web shop after the documented database of PrestaShop (multistore): composite keys, and no foreign key at all.
-- Column types are Postgres's; columns that say nothing about shops are left out.
CREATE TABLE ps_shop_group (id_shop_group serial PRIMARY KEY, name varchar(64) NOT NULL);
CREATE TABLE ps_shop (id_shop serial PRIMARY KEY, id_shop_group integer NOT NULL, name varchar(64) NOT NULL,
    active boolean NOT NULL DEFAULT true);
CREATE TABLE ps_lang (id_lang serial PRIMARY KEY, name varchar(32) NOT NULL, iso_code varchar(2) NOT NULL);
CREATE TABLE ps_currency (id_currency serial PRIMARY KEY, iso_code varchar(3) NOT NULL);
CREATE TABLE ps_country (id_country serial PRIMARY KEY, iso_code varchar(3) NOT NULL);
CREATE TABLE ps_customer (id_customer serial PRIMARY KEY, id_shop_group integer NOT NULL, id_shop integer NOT NULL,
    email varchar(255) NOT NULL, lastname varchar(255) NOT NULL, UNIQUE (id_shop, email));
CREATE TABLE ps_address (id_address serial PRIMARY KEY, id_country integer NOT NULL, id_customer integer NOT NULL,
    alias varchar(32) NOT NULL, city varchar(64) NOT NULL);
CREATE TABLE ps_cart (id_cart serial PRIMARY KEY, id_shop_group integer NOT NULL, id_shop integer NOT NULL,
    id_lang integer NOT NULL, id_currency integer NOT NULL, id_customer integer NOT NULL);
CREATE TABLE ps_cart_product (id_cart integer NOT NULL, id_product integer NOT NULL,
    id_product_attribute integer NOT NULL DEFAULT 0, id_shop integer NOT NULL, quantity integer NOT NULL,
    PRIMARY KEY (id_cart, id_product, id_product_attribute));
CREATE TABLE ps_orders (id_order serial PRIMARY KEY, reference varchar(9) NOT NULL UNIQUE, id_shop integer NOT NULL,
    id_customer integer NOT NULL, id_cart integer NOT NULL, current_state integer NOT NULL);
CREATE TABLE ps_order_state (id_order_state serial PRIMARY KEY, color varchar(32));
CREATE TABLE ps_order_state_lang (id_order_state integer NOT NULL, id_lang integer NOT NULL, name varchar(64) NOT NULL,
    PRIMARY KEY (id_order_state, id_lang));
CREATE TABLE ps_order_detail (id_order_detail serial PRIMARY KEY, id_order integer NOT NULL, id_shop integer NOT NULL,
    product_id integer NOT NULL, product_name varchar(255) NOT NULL);
CREATE TABLE ps_order_history (id_order_history serial PRIMARY KEY, id_employee integer NOT NULL,
    id_order integer NOT NULL, id_order_state integer NOT NULL, date_add timestamp NOT NULL);
CREATE TABLE ps_order_payment (id_order_payment serial PRIMARY KEY, order_reference varchar(9), amount numeric(10, 2) NOT NULL);
CREATE TABLE ps_order_slip (id_order_slip serial PRIMARY KEY, id_customer integer NOT NULL, id_order integer NOT NULL);
CREATE TABLE ps_order_slip_detail (id_order_slip integer NOT NULL, id_order_detail integer NOT NULL,
    product_quantity integer NOT NULL, PRIMARY KEY (id_order_slip, id_order_detail));
CREATE TABLE ps_product (id_product serial PRIMARY KEY, id_shop_default integer NOT NULL, reference varchar(64));
CREATE TABLE ps_product_shop (id_product integer NOT NULL, id_shop integer NOT NULL, price numeric(20, 6) NOT NULL,
    PRIMARY KEY (id_product, id_shop));
CREATE TABLE ps_product_lang (id_product integer NOT NULL, id_shop integer NOT NULL, id_lang integer NOT NULL,
    name varchar(128) NOT NULL, PRIMARY KEY (id_product, id_shop, id_lang));
CREATE TABLE ps_stock_available (id_stock_available serial PRIMARY KEY, id_product integer NOT NULL,
    id_shop integer NOT NULL, quantity integer NOT NULL, UNIQUE (id_product, id_shop));
CREATE TABLE ps_specific_price (id_specific_price serial PRIMARY KEY, id_product integer NOT NULL, id_shop integer NOT NULL,
    id_customer integer NOT NULL DEFAULT 0, reduction numeric(20, 6) NOT NULL);
CREATE TABLE ps_employee (id_employee serial PRIMARY KEY, email varchar(255) NOT NULL UNIQUE);
CREATE TABLE ps_employee_shop (id_employee integer NOT NULL, id_shop integer NOT NULL, PRIMARY KEY (id_employee, id_shop));
CREATE TABLE ps_configuration (id_configuration serial PRIMARY KEY, id_shop integer, name varchar(254) NOT NULL, value text);
CREATE TABLE ps_import_match (id_import_match serial PRIMARY KEY, name varchar(32) NOT NULL, match text NOT NULL);

INSERT INTO ps_shop_group (name) VALUES ('Default'), ('Partners');
INSERT INTO ps_shop (id_shop_group, name) VALUES (1, 'Books'), (1, 'Toys'), (2, 'Garden');
INSERT INTO ps_lang (name, iso_code) VALUES ('English', 'en'), ('Français', 'fr');
INSERT INTO ps_currency (iso_code) VALUES ('EUR'), ('CHF');
INSERT INTO ps_country (iso_code) VALUES ('FR'), ('CH'), ('DE');
INSERT INTO ps_customer (id_shop_group, id_shop, email, lastname)
    SELECT (ARRAY[1, 1, 2])[n % 3 + 1], n % 3 + 1, 'c' || n || '@example.org', 'Name ' || n FROM generate_series(1, 30) AS n;
INSERT INTO ps_address (id_country, id_customer, alias, city)
    SELECT n % 3 + 1, n % 30 + 1, 'home', 'City ' || n % 7 FROM generate_series(1, 45) AS n;
INSERT INTO ps_cart (id_shop_group, id_shop, id_lang, id_currency, id_customer)
    SELECT id_shop_group, id_shop, id_customer % 2 + 1, id_customer % 2 + 1, id_customer FROM ps_customer ORDER BY id_customer;
INSERT INTO ps_product (id_shop_default, reference) SELECT 1, 'P-' || n FROM generate_series(1, 12) AS n;
INSERT INTO ps_product_shop SELECT p, s, p * 10 FROM generate_series(1, 12) AS p, generate_series(1, 3) AS s WHERE (p + s) % 4 > 0;
INSERT INTO ps_product_lang SELECT id_product, id_shop, l, 'Product ' || id_product FROM ps_product_shop, generate_series(1, 2) AS l;
INSERT INTO ps_stock_available (id_product, id_shop, quantity) SELECT id_product, id_shop, 5 FROM ps_product_shop;
INSERT INTO ps_specific_price (id_product, id_shop, reduction) SELECT id_product, id_shop, 1 FROM ps_product_shop WHERE id_product < 5;
INSERT INTO ps_cart_product (id_cart, id_product, id_shop, quantity)
    SELECT id_cart, id_cart % 12 + 1, id_shop, 1 FROM ps_cart;
INSERT INTO ps_orders (reference, id_shop, id_customer, id_cart, current_state)
    SELECT upper(substr(md5(id_cart::text), 1, 9)), id_shop, id_customer, id_cart, 2 FROM ps_cart WHERE id_cart <= 24 ORDER BY id_cart;
INSERT INTO ps_order_state (color) VALUES ('#aaa'), ('#bbb'), ('#ccc');
INSERT INTO ps_order_state_lang SELECT s, l, 'State ' || s FROM generate_series(1, 3) AS s, generate_series(1, 2) AS l;
INSERT INTO ps_order_detail (id_order, id_shop, product_id, product_name)
    SELECT id_order, id_shop, id_order % 12 + 1, 'Product' FROM ps_orders, generate_series(1, 2) ORDER BY id_order;
INSERT INTO ps_employee (email) SELECT 'e' || n || '@example.org' FROM generate_series(1, 4) AS n;
INSERT INTO ps_employee_shop SELECT e, s FROM generate_series(1, 4) AS e, generate_series(1, 3) AS s WHERE e = 1 OR e % 3 + 1 = s;
INSERT INTO ps_order_history (id_employee, id_order, id_order_state, date_add)
    SELECT id_order % 4 + 1, id_order, s, now() FROM ps_orders, generate_series(1, 2) AS s;
INSERT INTO ps_order_payment (order_reference, amount) SELECT reference, 10 FROM ps_orders;
INSERT INTO ps_order_slip (id_customer, id_order) SELECT id_customer, id_order FROM ps_orders WHERE id_order % 3 = 0 OR id_order < 6;
INSERT INTO ps_order_slip_detail SELECT s.id_order_slip, d.id_order_detail, 1 FROM ps_order_slip AS s JOIN ps_order_detail AS d USING (id_order);
INSERT INTO ps_configuration (id_shop, name, value)
    SELECT CASE WHEN n % 3 > 0 THEN n % 3 END, 'PS_SETTING_' || n, n::text FROM generate_series(1, 12) AS n;
INSERT INTO ps_import_match (name, match) VALUES ('products', '1|2|3');
