"""The 22 queries of TPC-H with the methods of dask.dataframe and pandas, which are the same.

``read(table, columns)`` gives a table. pandas reads no more than these columns; Dask leaves them to its optimiser. Queries
keep to the specification (section 2.4) and its validation values; none is rewritten to suit one library. What is returned
is a frame in the order that the query asks for, or one number; lazy where the library is.
"""

from __future__ import annotations

import pandas as pd


def day(text):
    return pd.Timestamp(text)


def revenue(lines):
    return lines["l_extendedprice"] * (1 - lines["l_discount"])


def ordered(frame, by, limit=None):
    """Sorted by these columns, those with a minus in front descending; of which the first ``limit``."""
    names = [each.lstrip("-") for each in by]
    ascending = [not each.startswith("-") for each in by]
    if hasattr(frame, "repartition"):  # Dask sorts by several columns in one direction alone, and an answer is small
        return frame.repartition(npartitions=1).map_partitions(first_rows, names, ascending, limit)
    return first_rows(frame, names, ascending, limit)


def first_rows(frame, names, ascending, limit):
    frame = frame.sort_values(names, ascending=ascending)
    return frame if limit is None else frame.head(limit)


def query_01(read):
    lines = read(
        "lineitem",
        [
            "l_quantity",
            "l_extendedprice",
            "l_discount",
            "l_tax",
            "l_returnflag",
            "l_linestatus",
            "l_shipdate",
        ],
    )
    lines = lines[lines["l_shipdate"] <= day("1998-09-02")]
    lines = lines.assign(disc_price=revenue(lines))
    lines = lines.assign(charge=lines["disc_price"] * (1 + lines["l_tax"]))
    found = (
        lines.groupby(["l_returnflag", "l_linestatus"])
        .agg(
            sum_qty=("l_quantity", "sum"),
            sum_base_price=("l_extendedprice", "sum"),
            sum_disc_price=("disc_price", "sum"),
            sum_charge=("charge", "sum"),
            avg_qty=("l_quantity", "mean"),
            avg_price=("l_extendedprice", "mean"),
            avg_disc=("l_discount", "mean"),
            count_order=("l_quantity", "size"),
        )
        .reset_index()
    )
    return ordered(found, ["l_returnflag", "l_linestatus"])


def query_02(read):
    part = read("part", ["p_partkey", "p_mfgr", "p_type", "p_size"])
    part = part[(part["p_size"] == 15) & part["p_type"].str.endswith("BRASS")]
    region = read("region", ["r_regionkey", "r_name"])
    nation = read("nation", ["n_nationkey", "n_name", "n_regionkey"])
    supplier = read(
        "supplier", ["s_suppkey", "s_name", "s_address", "s_nationkey", "s_phone", "s_acctbal", "s_comment"]
    )
    partsupp = read("partsupp", ["ps_partkey", "ps_suppkey", "ps_supplycost"])
    offers = (
        region[region["r_name"] == "EUROPE"]
        .merge(nation, left_on="r_regionkey", right_on="n_regionkey")
        .merge(supplier, left_on="n_nationkey", right_on="s_nationkey")
        .merge(partsupp, left_on="s_suppkey", right_on="ps_suppkey")
        .merge(part, left_on="ps_partkey", right_on="p_partkey")
    )
    cheapest = offers.groupby("p_partkey")["ps_supplycost"].min().reset_index()
    found = offers.merge(cheapest, on=["p_partkey", "ps_supplycost"])
    columns = ["s_acctbal", "s_name", "n_name", "p_partkey", "p_mfgr", "s_address", "s_phone", "s_comment"]
    return ordered(found[columns], ["-s_acctbal", "n_name", "s_name", "p_partkey"], 100)


def query_03(read):
    customer = read("customer", ["c_custkey", "c_mktsegment"])
    orders = read("orders", ["o_orderkey", "o_custkey", "o_orderdate", "o_shippriority"])
    lines = read("lineitem", ["l_orderkey", "l_extendedprice", "l_discount", "l_shipdate"])
    found = (
        customer[customer["c_mktsegment"] == "BUILDING"]
        .merge(orders[orders["o_orderdate"] < day("1995-03-15")], left_on="c_custkey", right_on="o_custkey")
        .merge(lines[lines["l_shipdate"] > day("1995-03-15")], left_on="o_orderkey", right_on="l_orderkey")
    )
    found = found.assign(revenue=revenue(found))
    found = found.groupby(["l_orderkey", "o_orderdate", "o_shippriority"])["revenue"].sum().reset_index()
    return ordered(found[["l_orderkey", "revenue", "o_orderdate", "o_shippriority"]], ["-revenue", "o_orderdate"], 10)


def query_04(read):
    orders = read("orders", ["o_orderkey", "o_orderdate", "o_orderpriority"])
    orders = orders[(orders["o_orderdate"] >= day("1993-07-01")) & (orders["o_orderdate"] < day("1993-10-01"))]
    lines = read("lineitem", ["l_orderkey", "l_commitdate", "l_receiptdate"])
    late = lines[lines["l_commitdate"] < lines["l_receiptdate"]][["l_orderkey"]].drop_duplicates()
    found = orders.merge(late, left_on="o_orderkey", right_on="l_orderkey")
    found = found.groupby("o_orderpriority").agg(order_count=("o_orderkey", "count")).reset_index()
    return ordered(found, ["o_orderpriority"])


def query_05(read):
    region = read("region", ["r_regionkey", "r_name"])
    nation = read("nation", ["n_nationkey", "n_name", "n_regionkey"])
    customer = read("customer", ["c_custkey", "c_nationkey"])
    orders = read("orders", ["o_orderkey", "o_custkey", "o_orderdate"])
    orders = orders[(orders["o_orderdate"] >= day("1994-01-01")) & (orders["o_orderdate"] < day("1995-01-01"))]
    lines = read("lineitem", ["l_orderkey", "l_suppkey", "l_extendedprice", "l_discount"])
    supplier = read("supplier", ["s_suppkey", "s_nationkey"])
    found = (
        region[region["r_name"] == "ASIA"]
        .merge(nation, left_on="r_regionkey", right_on="n_regionkey")
        .merge(customer, left_on="n_nationkey", right_on="c_nationkey")
        .merge(orders, left_on="c_custkey", right_on="o_custkey")
        .merge(lines, left_on="o_orderkey", right_on="l_orderkey")
        .merge(supplier, left_on=["l_suppkey", "c_nationkey"], right_on=["s_suppkey", "s_nationkey"])
    )
    found = found.assign(revenue=revenue(found)).groupby("n_name")["revenue"].sum().reset_index()
    return ordered(found, ["-revenue"])


def query_06(read):
    lines = read("lineitem", ["l_quantity", "l_extendedprice", "l_discount", "l_shipdate"])
    lines = lines[
        (lines["l_shipdate"] >= day("1994-01-01"))
        & (lines["l_shipdate"] < day("1995-01-01"))
        & (lines["l_discount"] >= 0.05)
        & (lines["l_discount"] <= 0.07)
        & (lines["l_quantity"] < 24)
    ]
    return (lines["l_extendedprice"] * lines["l_discount"]).sum()


def query_07(read):
    nation = read("nation", ["n_nationkey", "n_name"])
    nation = nation[nation["n_name"].isin(["FRANCE", "GERMANY"])]
    suppliers = read("supplier", ["s_suppkey", "s_nationkey"]).merge(
        nation.rename(columns={"n_name": "supp_nation"}), left_on="s_nationkey", right_on="n_nationkey"
    )
    customers = read("customer", ["c_custkey", "c_nationkey"]).merge(
        nation.rename(columns={"n_name": "cust_nation"}), left_on="c_nationkey", right_on="n_nationkey"
    )
    lines = read("lineitem", ["l_orderkey", "l_suppkey", "l_extendedprice", "l_discount", "l_shipdate"])
    lines = lines[(lines["l_shipdate"] >= day("1995-01-01")) & (lines["l_shipdate"] <= day("1996-12-31"))]
    found = (
        lines.merge(suppliers[["s_suppkey", "supp_nation"]], left_on="l_suppkey", right_on="s_suppkey")
        .merge(read("orders", ["o_orderkey", "o_custkey"]), left_on="l_orderkey", right_on="o_orderkey")
        .merge(customers[["c_custkey", "cust_nation"]], left_on="o_custkey", right_on="c_custkey")
    )
    found = found[found["supp_nation"] != found["cust_nation"]]
    found = found.assign(l_year=found["l_shipdate"].dt.year, revenue=revenue(found))
    found = found.groupby(["supp_nation", "cust_nation", "l_year"])["revenue"].sum().reset_index()
    return ordered(found, ["supp_nation", "cust_nation", "l_year"])


def query_08(read):
    part = read("part", ["p_partkey", "p_type"])
    region = read("region", ["r_regionkey", "r_name"])
    nation = read("nation", ["n_nationkey", "n_name", "n_regionkey"])
    orders = read("orders", ["o_orderkey", "o_custkey", "o_orderdate"])
    orders = orders[(orders["o_orderdate"] >= day("1995-01-01")) & (orders["o_orderdate"] <= day("1996-12-31"))]
    american = (
        region[region["r_name"] == "AMERICA"]
        .merge(nation, left_on="r_regionkey", right_on="n_regionkey")
        .merge(read("customer", ["c_custkey", "c_nationkey"]), left_on="n_nationkey", right_on="c_nationkey")
    )[["c_custkey"]]
    suppliers = read("supplier", ["s_suppkey", "s_nationkey"]).merge(
        nation[["n_nationkey", "n_name"]], left_on="s_nationkey", right_on="n_nationkey"
    )[["s_suppkey", "n_name"]]
    lines = read("lineitem", ["l_orderkey", "l_partkey", "l_suppkey", "l_extendedprice", "l_discount"])
    found = (
        lines.merge(part[part["p_type"] == "ECONOMY ANODIZED STEEL"], left_on="l_partkey", right_on="p_partkey")
        .merge(orders, left_on="l_orderkey", right_on="o_orderkey")
        .merge(american, left_on="o_custkey", right_on="c_custkey")
        .merge(suppliers, left_on="l_suppkey", right_on="s_suppkey")
    )
    found = found.assign(o_year=found["o_orderdate"].dt.year, volume=revenue(found))
    found = found.assign(brazil=found["volume"].where(found["n_name"] == "BRAZIL", 0.0))
    found = found.groupby("o_year")[["brazil", "volume"]].sum().reset_index()
    found = found.assign(mkt_share=found["brazil"] / found["volume"])
    return ordered(found[["o_year", "mkt_share"]], ["o_year"])


def query_09(read):
    part = read("part", ["p_partkey", "p_name"])
    lines = read("lineitem", ["l_orderkey", "l_partkey", "l_suppkey", "l_quantity", "l_extendedprice", "l_discount"])
    partsupp = read("partsupp", ["ps_partkey", "ps_suppkey", "ps_supplycost"])
    suppliers = read("supplier", ["s_suppkey", "s_nationkey"]).merge(
        read("nation", ["n_nationkey", "n_name"]), left_on="s_nationkey", right_on="n_nationkey"
    )[["s_suppkey", "n_name"]]
    found = (
        lines.merge(part[part["p_name"].str.contains("green", regex=False)], left_on="l_partkey", right_on="p_partkey")
        .merge(partsupp, left_on=["l_partkey", "l_suppkey"], right_on=["ps_partkey", "ps_suppkey"])
        .merge(suppliers, left_on="l_suppkey", right_on="s_suppkey")
        .merge(read("orders", ["o_orderkey", "o_orderdate"]), left_on="l_orderkey", right_on="o_orderkey")
    )
    found = found.assign(
        nation=found["n_name"],
        o_year=found["o_orderdate"].dt.year,
        sum_profit=revenue(found) - found["ps_supplycost"] * found["l_quantity"],
    )
    found = found.groupby(["nation", "o_year"])["sum_profit"].sum().reset_index()
    return ordered(found, ["nation", "-o_year"])


def query_10(read):
    customer = read(
        "customer",
        ["c_custkey", "c_name", "c_address", "c_nationkey", "c_phone", "c_acctbal", "c_comment"],
    )
    orders = read("orders", ["o_orderkey", "o_custkey", "o_orderdate"])
    orders = orders[(orders["o_orderdate"] >= day("1993-10-01")) & (orders["o_orderdate"] < day("1994-01-01"))]
    lines = read("lineitem", ["l_orderkey", "l_extendedprice", "l_discount", "l_returnflag"])
    found = (
        lines[lines["l_returnflag"] == "R"]
        .merge(orders, left_on="l_orderkey", right_on="o_orderkey")
        .merge(customer, left_on="o_custkey", right_on="c_custkey")
        .merge(read("nation", ["n_nationkey", "n_name"]), left_on="c_nationkey", right_on="n_nationkey")
    )
    keys = ["c_custkey", "c_name", "c_acctbal", "c_phone", "n_name", "c_address", "c_comment"]
    found = found.assign(revenue=revenue(found)).groupby(keys)["revenue"].sum().reset_index()
    columns = ["c_custkey", "c_name", "revenue", "c_acctbal", "n_name", "c_address", "c_phone", "c_comment"]
    return ordered(found[columns], ["-revenue"], 20)


def query_11(read, factor):
    nation = read("nation", ["n_nationkey", "n_name"])
    found = (
        nation[nation["n_name"] == "GERMANY"]
        .merge(read("supplier", ["s_suppkey", "s_nationkey"]), left_on="n_nationkey", right_on="s_nationkey")
        .merge(
            read("partsupp", ["ps_partkey", "ps_suppkey", "ps_availqty", "ps_supplycost"]),
            left_on="s_suppkey",
            right_on="ps_suppkey",
        )
    )
    found = found.assign(value=found["ps_supplycost"] * found["ps_availqty"])
    least = found["value"].sum() * (0.0001 / factor)
    found = found.groupby("ps_partkey")["value"].sum().reset_index()
    return ordered(found[found["value"] > least], ["-value"])


def query_12(read):
    lines = read("lineitem", ["l_orderkey", "l_shipdate", "l_commitdate", "l_receiptdate", "l_shipmode"])
    lines = lines[
        lines["l_shipmode"].isin(["MAIL", "SHIP"])
        & (lines["l_commitdate"] < lines["l_receiptdate"])
        & (lines["l_shipdate"] < lines["l_commitdate"])
        & (lines["l_receiptdate"] >= day("1994-01-01"))
        & (lines["l_receiptdate"] < day("1995-01-01"))
    ]
    found = lines.merge(read("orders", ["o_orderkey", "o_orderpriority"]), left_on="l_orderkey", right_on="o_orderkey")
    high = found["o_orderpriority"].isin(["1-URGENT", "2-HIGH"])
    found = found.assign(high_line_count=high.astype("int64"), low_line_count=(~high).astype("int64"))
    found = found.groupby("l_shipmode")[["high_line_count", "low_line_count"]].sum().reset_index()
    return ordered(found, ["l_shipmode"])


def query_13(read):
    orders = read("orders", ["o_orderkey", "o_custkey", "o_comment"])
    orders = orders[~orders["o_comment"].str.contains("special.*requests")]
    found = read("customer", ["c_custkey"]).merge(orders, left_on="c_custkey", right_on="o_custkey", how="left")
    found = found.groupby("c_custkey").agg(c_count=("o_orderkey", "count")).reset_index()
    found = found.groupby("c_count").agg(custdist=("c_custkey", "count")).reset_index()
    return ordered(found, ["-custdist", "-c_count"])


def query_14(read):
    lines = read("lineitem", ["l_partkey", "l_extendedprice", "l_discount", "l_shipdate"])
    lines = lines[(lines["l_shipdate"] >= day("1995-09-01")) & (lines["l_shipdate"] < day("1995-10-01"))]
    found = lines.merge(read("part", ["p_partkey", "p_type"]), left_on="l_partkey", right_on="p_partkey")
    found = found.assign(revenue=revenue(found))
    promoted = found[found["p_type"].str.startswith("PROMO")]
    return 100.0 * promoted["revenue"].sum() / found["revenue"].sum()


def query_15(read):
    lines = read("lineitem", ["l_suppkey", "l_extendedprice", "l_discount", "l_shipdate"])
    lines = lines[(lines["l_shipdate"] >= day("1996-01-01")) & (lines["l_shipdate"] < day("1996-04-01"))]
    totals = lines.assign(total_revenue=revenue(lines)).groupby("l_suppkey")["total_revenue"].sum().reset_index()
    # rounded: a sum of floats depends on the order of its terms, and may be done twice
    totals = totals.assign(total_revenue=totals["total_revenue"].round(4))
    totals = totals[totals["total_revenue"] == totals["total_revenue"].max()]
    suppliers = read("supplier", ["s_suppkey", "s_name", "s_address", "s_phone"])
    found = suppliers.merge(totals, left_on="s_suppkey", right_on="l_suppkey")
    return ordered(found[["s_suppkey", "s_name", "s_address", "s_phone", "total_revenue"]], ["s_suppkey"])


def query_16(read):
    part = read("part", ["p_partkey", "p_brand", "p_type", "p_size"])
    part = part[
        (part["p_brand"] != "Brand#45")
        & ~part["p_type"].str.startswith("MEDIUM POLISHED")
        & part["p_size"].isin([49, 14, 23, 45, 19, 3, 36, 9])
    ]
    supplier = read("supplier", ["s_suppkey", "s_comment"])
    complained = supplier[supplier["s_comment"].str.contains("Customer.*Complaints")][["s_suppkey"]]
    found = (
        read("partsupp", ["ps_partkey", "ps_suppkey"])
        .merge(part, left_on="ps_partkey", right_on="p_partkey")
        .merge(complained, left_on="ps_suppkey", right_on="s_suppkey", how="left")
    )
    found = found[found["s_suppkey"].isna()]
    found = found.groupby(["p_brand", "p_type", "p_size"])["ps_suppkey"].nunique().reset_index()
    found = found.rename(columns={"ps_suppkey": "supplier_cnt"})
    return ordered(found, ["-supplier_cnt", "p_brand", "p_type", "p_size"])


def query_17(read):
    part = read("part", ["p_partkey", "p_brand", "p_container"])
    part = part[(part["p_brand"] == "Brand#23") & (part["p_container"] == "MED BOX")]
    lines = read("lineitem", ["l_partkey", "l_quantity", "l_extendedprice"])
    average = lines.groupby("l_partkey").agg(average=("l_quantity", "mean")).reset_index()
    found = lines.merge(part[["p_partkey"]], left_on="l_partkey", right_on="p_partkey").merge(average, on="l_partkey")
    found = found[found["l_quantity"] < 0.2 * found["average"]]
    return found["l_extendedprice"].sum() / 7.0


def query_18(read):
    lines = read("lineitem", ["l_orderkey", "l_quantity"])
    orders = read("orders", ["o_orderkey", "o_custkey", "o_orderdate", "o_totalprice"])
    large = lines.groupby("l_orderkey")["l_quantity"].sum().reset_index()
    large = large[large["l_quantity"] > 300][["l_orderkey"]]
    found = (
        lines.merge(large, on="l_orderkey")
        .merge(orders, left_on="l_orderkey", right_on="o_orderkey")
        .merge(read("customer", ["c_custkey", "c_name"]), left_on="o_custkey", right_on="c_custkey")
    )
    keys = ["c_name", "c_custkey", "o_orderkey", "o_orderdate", "o_totalprice"]
    found = found.groupby(keys)["l_quantity"].sum().reset_index()
    return ordered(found, ["-o_totalprice", "o_orderdate"], 100)


def query_19(read):
    lines = read(
        "lineitem",
        ["l_partkey", "l_quantity", "l_extendedprice", "l_discount", "l_shipinstruct", "l_shipmode"],
    )
    lines = lines[lines["l_shipmode"].isin(["AIR", "AIR REG"]) & (lines["l_shipinstruct"] == "DELIVER IN PERSON")]
    part = read("part", ["p_partkey", "p_brand", "p_size", "p_container"])
    found = lines.merge(part, left_on="l_partkey", right_on="p_partkey")

    def wanted(brand, containers, least, most, size):
        return (
            (found["p_brand"] == brand)
            & found["p_container"].isin(containers)
            & (found["l_quantity"] >= least)
            & (found["l_quantity"] <= most)
            & (found["p_size"] >= 1)
            & (found["p_size"] <= size)
        )

    found = found[
        wanted("Brand#12", ["SM CASE", "SM BOX", "SM PACK", "SM PKG"], 1, 11, 5)
        | wanted("Brand#23", ["MED BAG", "MED BOX", "MED PKG", "MED PACK"], 10, 20, 10)
        | wanted("Brand#34", ["LG CASE", "LG BOX", "LG PACK", "LG PKG"], 20, 30, 15)
    ]
    return revenue(found).sum()


def query_20(read):
    lines = read("lineitem", ["l_partkey", "l_suppkey", "l_quantity", "l_shipdate"])
    lines = lines[(lines["l_shipdate"] >= day("1994-01-01")) & (lines["l_shipdate"] < day("1995-01-01"))]
    shipped = lines.groupby(["l_partkey", "l_suppkey"])["l_quantity"].sum().reset_index()
    part = read("part", ["p_partkey", "p_name"])
    forest = part[part["p_name"].str.startswith("forest")][["p_partkey"]]
    stock = (
        read("partsupp", ["ps_partkey", "ps_suppkey", "ps_availqty"])
        .merge(forest, left_on="ps_partkey", right_on="p_partkey")
        .merge(shipped, left_on=["ps_partkey", "ps_suppkey"], right_on=["l_partkey", "l_suppkey"])
    )
    stock = stock[stock["ps_availqty"] > 0.5 * stock["l_quantity"]][["ps_suppkey"]].drop_duplicates()
    nation = read("nation", ["n_nationkey", "n_name"])
    found = (
        read("supplier", ["s_suppkey", "s_name", "s_address", "s_nationkey"])
        .merge(nation[nation["n_name"] == "CANADA"], left_on="s_nationkey", right_on="n_nationkey")
        .merge(stock, left_on="s_suppkey", right_on="ps_suppkey")
    )
    return ordered(found[["s_name", "s_address"]], ["s_name"])


def query_21(read):
    lines = read("lineitem", ["l_orderkey", "l_suppkey", "l_commitdate", "l_receiptdate"])
    late = lines[lines["l_receiptdate"] > lines["l_commitdate"]]

    def suppliers_of(frame, name):
        return frame.groupby("l_orderkey")["l_suppkey"].nunique().reset_index().rename(columns={"l_suppkey": name})

    orders = read("orders", ["o_orderkey", "o_orderstatus"])
    nation = read("nation", ["n_nationkey", "n_name"])
    saudi = read("supplier", ["s_suppkey", "s_name", "s_nationkey"]).merge(
        nation[nation["n_name"] == "SAUDI ARABIA"], left_on="s_nationkey", right_on="n_nationkey"
    )[["s_suppkey", "s_name"]]
    # of an order with several suppliers, the one that alone was late
    found = (
        late[["l_orderkey", "l_suppkey"]]
        .merge(saudi, left_on="l_suppkey", right_on="s_suppkey")
        .merge(orders[orders["o_orderstatus"] == "F"], left_on="l_orderkey", right_on="o_orderkey")
        .merge(suppliers_of(lines, "suppliers"), on="l_orderkey")
        .merge(suppliers_of(late, "late_suppliers"), on="l_orderkey")
    )
    found = found[(found["suppliers"] > 1) & (found["late_suppliers"] == 1)]
    found = found.groupby("s_name").agg(numwait=("l_orderkey", "count")).reset_index()
    return ordered(found, ["-numwait", "s_name"], 100)


def query_22(read):
    customer = read("customer", ["c_custkey", "c_phone", "c_acctbal"])
    customer = customer.assign(cntrycode=customer["c_phone"].str.slice(0, 2))
    customer = customer[customer["cntrycode"].isin(["13", "31", "23", "29", "30", "18", "17"])]
    average = customer[customer["c_acctbal"] > 0.0]["c_acctbal"].mean()
    rich = customer[customer["c_acctbal"] > average]
    buyers = read("orders", ["o_custkey"])[["o_custkey"]].drop_duplicates()
    found = rich.merge(buyers, left_on="c_custkey", right_on="o_custkey", how="left")
    found = found[found["o_custkey"].isna()]
    found = (
        found.groupby("cntrycode").agg(numcust=("c_acctbal", "count"), totacctbal=("c_acctbal", "sum")).reset_index()
    )
    return ordered(found, ["cntrycode"])
