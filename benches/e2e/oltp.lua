-- Single-row autocommit transactions over 10 tables of 16 mixed columns: 20 % inserts, 60 % updates, 20 % deletes.
-- Each thread owns the ids that are its number modulo the threads, so that no update or delete misses its row.

sysbench.cmdline.options = {
   rows = {"Rows of each table before", 10000},
   tables = {"Tables", 10},
}

local next_id, first_id = {}, {}

function text(length) return sysbench.rand.string(string.rep("@", length)) end

function values(id)
   return string.format("(%d,%d,%d,%d,%d,%.6f,%.3f,'%s','%s','%s','%s','2024-%02d-%02d','2023-%02d-%02d',%d.%02d,%d.%04d,%d)",
      id, sysbench.rand.uniform(1, 1e9), sysbench.rand.uniform(1, 1e9), sysbench.rand.uniform(1, 1e6), sysbench.rand.uniform(0, 100),
      sysbench.rand.uniform(1, 1e9) / 7, sysbench.rand.uniform(1, 1e6) / 3, text(24), text(48), text(16), text(96),
      sysbench.rand.uniform(1, 12), sysbench.rand.uniform(1, 28), sysbench.rand.uniform(1, 12), sysbench.rand.uniform(1, 28),
      sysbench.rand.uniform(0, 999999), sysbench.rand.uniform(0, 99), sysbench.rand.uniform(0, 9999), sysbench.rand.uniform(0, 9999),
      sysbench.rand.uniform(0, 1))
end

function prepare()
   local con = sysbench.sql.driver():connect()
   for t = 1, sysbench.opt.tables do
      con:query(string.format([[CREATE TABLE oltp%d (
         id BIGINT NOT NULL PRIMARY KEY, b1 BIGINT NOT NULL, b2 BIGINT, i1 INT NOT NULL, i2 INT,
         d1 DOUBLE NOT NULL, d2 DOUBLE, v1 VARCHAR(128) NOT NULL, v2 VARCHAR(128), v3 VARCHAR(128), v4 VARCHAR(128),
         day1 DATE NOT NULL, day2 DATE, n1 DECIMAL(12,2) NOT NULL, n2 DECIMAL(18,4), flag INT NOT NULL, KEY i1 (i1))]], t))
      con:bulk_insert_init("INSERT INTO oltp" .. t .. " VALUES")
      for id = 1, sysbench.opt.rows do con:bulk_insert_next(values(id)) end
      con:bulk_insert_done()
   end
end

function thread_init()
   con = sysbench.sql.driver():connect()
   for t = 1, sysbench.opt.tables do
      local row = con:query_row("SELECT MIN(id) FROM oltp" .. t)
      local last = con:query_row("SELECT MAX(id) FROM oltp" .. t)
      local mine = sysbench.tid % sysbench.opt.threads
      local n = sysbench.opt.threads
      first_id[t] = tonumber(row) + (mine - tonumber(row)) % n
      next_id[t] = tonumber(last) + 1 + (mine - tonumber(last) - 1) % n
   end
end

function event()
   local t = sysbench.rand.uniform(1, sysbench.opt.tables)
   local n = sysbench.opt.threads
   local kind = sysbench.rand.uniform(1, 10)
   if kind <= 2 then
      con:query("INSERT INTO oltp" .. t .. " VALUES " .. values(next_id[t]))
      next_id[t] = next_id[t] + n
   elseif kind <= 8 then
      local id = first_id[t] + n * sysbench.rand.uniform(0, math.floor((next_id[t] - first_id[t]) / n) - 1)
      con:query(string.format("UPDATE oltp%d SET b2 = %d, d1 = %.6f, v1 = '%s', n1 = %d.%02d WHERE id = %d", t,
         sysbench.rand.uniform(1, 1e9), sysbench.rand.uniform(1, 1e9) / 7, text(24), sysbench.rand.uniform(0, 999999),
         sysbench.rand.uniform(0, 99), id))
   else
      con:query("DELETE FROM oltp" .. t .. " WHERE id = " .. first_id[t])
      first_id[t] = first_id[t] + n
   end
end

function cleanup()
   local con = sysbench.sql.driver():connect()
   for t = 1, sysbench.opt.tables do con:query("DROP TABLE IF EXISTS oltp" .. t) end
end
