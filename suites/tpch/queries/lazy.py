"""The 22 queries of TPC-H as lazy frames of Polars.

``scan(table)`` gives a lazy table. Queries keep to the specification (section 2.4) and its validation values. What is returned
is a lazy frame with the columns, and in the order, that the query asks for.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl

REVENUE = pl.col("l_extendedprice") * (1 - pl.col("l_discount"))


def day(text):
    return datetime.fromisoformat(text)


def between(column, start, end):
    """From this day to before that one."""
    return (pl.col(column) >= day(start)) & (pl.col(column) < day(end))


def query_01(scan):
    return (
        scan("lineitem")
        .filter(pl.col("l_shipdate") <= day("1998-09-02"))
        .group_by("l_returnflag", "l_linestatus")
        .agg(
            pl.sum("l_quantity").alias("sum_qty"),
            pl.sum("l_extendedprice").alias("sum_base_price"),
            REVENUE.sum().alias("sum_disc_price"),
            (REVENUE * (1 + pl.col("l_tax"))).sum().alias("sum_charge"),
            pl.mean("l_quantity").alias("avg_qty"),
            pl.mean("l_extendedprice").alias("avg_price"),
            pl.mean("l_discount").alias("avg_disc"),
            pl.len().alias("count_order"),
        )
        .sort("l_returnflag", "l_linestatus")
    )


def query_02(scan):
    offers = (
        scan("region")
        .filter(pl.col("r_name") == "EUROPE")
        .join(scan("nation"), left_on="r_regionkey", right_on="n_regionkey")
        .join(scan("supplier"), left_on="n_nationkey", right_on="s_nationkey")
        .join(scan("partsupp"), left_on="s_suppkey", right_on="ps_suppkey")
        .join(
            scan("part").filter((pl.col("p_size") == 15) & pl.col("p_type").str.ends_with("BRASS")),
            left_on="ps_partkey",
            right_on="p_partkey",
        )
    )
    cheapest = offers.group_by("ps_partkey").agg(pl.min("ps_supplycost"))
    return (
        offers.join(cheapest, on=["ps_partkey", "ps_supplycost"])
        .select(
            "s_acctbal",
            "s_name",
            "n_name",
            pl.col("ps_partkey").alias("p_partkey"),
            "p_mfgr",
            "s_address",
            "s_phone",
            "s_comment",
        )
        .sort("s_acctbal", "n_name", "s_name", "p_partkey", descending=[True, False, False, False])
        .head(100)
    )


def query_03(scan):
    return (
        scan("customer")
        .filter(pl.col("c_mktsegment") == "BUILDING")
        .join(scan("orders"), left_on="c_custkey", right_on="o_custkey")
        .join(scan("lineitem"), left_on="o_orderkey", right_on="l_orderkey")
        .filter((pl.col("o_orderdate") < day("1995-03-15")) & (pl.col("l_shipdate") > day("1995-03-15")))
        .group_by("o_orderkey", "o_orderdate", "o_shippriority")
        .agg(REVENUE.sum().alias("revenue"))
        .select(pl.col("o_orderkey").alias("l_orderkey"), "revenue", "o_orderdate", "o_shippriority")
        .sort("revenue", "o_orderdate", descending=[True, False])
        .head(10)
    )


def query_04(scan):
    late = scan("lineitem").filter(pl.col("l_commitdate") < pl.col("l_receiptdate"))
    return (
        scan("orders")
        .filter(between("o_orderdate", "1993-07-01", "1993-10-01"))
        .join(late, left_on="o_orderkey", right_on="l_orderkey", how="semi")
        .group_by("o_orderpriority")
        .agg(pl.len().alias("order_count"))
        .sort("o_orderpriority")
    )


def query_05(scan):
    return (
        scan("region")
        .filter(pl.col("r_name") == "ASIA")
        .join(scan("nation"), left_on="r_regionkey", right_on="n_regionkey")
        .join(scan("customer"), left_on="n_nationkey", right_on="c_nationkey")
        .join(scan("orders"), left_on="c_custkey", right_on="o_custkey")
        .filter(between("o_orderdate", "1994-01-01", "1995-01-01"))
        .join(scan("lineitem"), left_on="o_orderkey", right_on="l_orderkey")
        .join(scan("supplier"), left_on=["l_suppkey", "n_nationkey"], right_on=["s_suppkey", "s_nationkey"])
        .group_by("n_name")
        .agg(REVENUE.sum().alias("revenue"))
        .sort("revenue", descending=True)
    )


def query_06(scan):
    return (
        scan("lineitem")
        .filter(
            between("l_shipdate", "1994-01-01", "1995-01-01")
            & pl.col("l_discount").is_between(0.05, 0.07)
            & (pl.col("l_quantity") < 24)
        )
        .select((pl.col("l_extendedprice") * pl.col("l_discount")).sum().alias("revenue"))
    )


def query_07(scan):
    nation = scan("nation").filter(pl.col("n_name").is_in(["FRANCE", "GERMANY"])).select("n_nationkey", "n_name")
    suppliers = scan("supplier").join(nation, left_on="s_nationkey", right_on="n_nationkey")
    customers = scan("customer").join(nation, left_on="c_nationkey", right_on="n_nationkey")
    return (
        scan("lineitem")
        .filter(pl.col("l_shipdate").is_between(day("1995-01-01"), day("1996-12-31")))
        .join(
            suppliers.select("s_suppkey", pl.col("n_name").alias("supp_nation")),
            left_on="l_suppkey",
            right_on="s_suppkey",
        )
        .join(scan("orders"), left_on="l_orderkey", right_on="o_orderkey")
        .join(
            customers.select("c_custkey", pl.col("n_name").alias("cust_nation")),
            left_on="o_custkey",
            right_on="c_custkey",
        )
        .filter(pl.col("supp_nation") != pl.col("cust_nation"))
        .with_columns(pl.col("l_shipdate").dt.year().alias("l_year"))
        .group_by("supp_nation", "cust_nation", "l_year")
        .agg(REVENUE.sum().alias("revenue"))
        .sort("supp_nation", "cust_nation", "l_year")
    )


def query_08(scan):
    american = (
        scan("region")
        .filter(pl.col("r_name") == "AMERICA")
        .join(scan("nation"), left_on="r_regionkey", right_on="n_regionkey")
        .join(scan("customer"), left_on="n_nationkey", right_on="c_nationkey")
    )
    suppliers = (
        scan("supplier")
        .join(scan("nation"), left_on="s_nationkey", right_on="n_nationkey")
        .select("s_suppkey", pl.col("n_name").alias("nation"))
    )
    return (
        scan("part")
        .filter(pl.col("p_type") == "ECONOMY ANODIZED STEEL")
        .join(scan("lineitem"), left_on="p_partkey", right_on="l_partkey")
        .join(scan("orders"), left_on="l_orderkey", right_on="o_orderkey")
        .filter(pl.col("o_orderdate").is_between(day("1995-01-01"), day("1996-12-31")))
        .join(american, left_on="o_custkey", right_on="c_custkey", how="semi")
        .join(suppliers, left_on="l_suppkey", right_on="s_suppkey")
        .with_columns(pl.col("o_orderdate").dt.year().alias("o_year"), REVENUE.alias("volume"))
        .group_by("o_year")
        .agg(
            (
                pl.when(pl.col("nation") == "BRAZIL").then(pl.col("volume")).otherwise(0.0).sum() / pl.sum("volume")
            ).alias("mkt_share")
        )
        .sort("o_year")
    )


def query_09(scan):
    return (
        scan("part")
        .filter(pl.col("p_name").str.contains("green", literal=True))
        .join(scan("lineitem"), left_on="p_partkey", right_on="l_partkey")
        .join(scan("partsupp"), left_on=["p_partkey", "l_suppkey"], right_on=["ps_partkey", "ps_suppkey"])
        .join(scan("supplier"), left_on="l_suppkey", right_on="s_suppkey")
        .join(scan("orders"), left_on="l_orderkey", right_on="o_orderkey")
        .join(scan("nation"), left_on="s_nationkey", right_on="n_nationkey")
        .with_columns(pl.col("n_name").alias("nation"), pl.col("o_orderdate").dt.year().alias("o_year"))
        .group_by("nation", "o_year")
        .agg((REVENUE - pl.col("ps_supplycost") * pl.col("l_quantity")).sum().alias("sum_profit"))
        .sort("nation", "o_year", descending=[False, True])
    )


def query_10(scan):
    return (
        scan("customer")
        .join(scan("orders"), left_on="c_custkey", right_on="o_custkey")
        .filter(between("o_orderdate", "1993-10-01", "1994-01-01"))
        .join(scan("lineitem").filter(pl.col("l_returnflag") == "R"), left_on="o_orderkey", right_on="l_orderkey")
        .join(scan("nation"), left_on="c_nationkey", right_on="n_nationkey")
        .group_by("c_custkey", "c_name", "c_acctbal", "c_phone", "n_name", "c_address", "c_comment")
        .agg(REVENUE.sum().alias("revenue"))
        .select("c_custkey", "c_name", "revenue", "c_acctbal", "n_name", "c_address", "c_phone", "c_comment")
        .sort("revenue", descending=True)
        .head(20)
    )


def query_11(scan, factor):
    stock = (
        scan("nation")
        .filter(pl.col("n_name") == "GERMANY")
        .join(scan("supplier"), left_on="n_nationkey", right_on="s_nationkey")
        .join(scan("partsupp"), left_on="s_suppkey", right_on="ps_suppkey")
        .with_columns((pl.col("ps_supplycost") * pl.col("ps_availqty")).alias("value"))
    )
    least = stock.select((pl.sum("value") * (0.0001 / factor)).alias("least"))
    return (
        stock.group_by("ps_partkey")
        .agg(pl.sum("value"))
        .join(least, how="cross")
        .filter(pl.col("value") > pl.col("least"))
        .select("ps_partkey", "value")
        .sort("value", descending=True)
    )


def query_12(scan):
    high = pl.col("o_orderpriority").is_in(["1-URGENT", "2-HIGH"])
    return (
        scan("lineitem")
        .filter(
            pl.col("l_shipmode").is_in(["MAIL", "SHIP"])
            & (pl.col("l_commitdate") < pl.col("l_receiptdate"))
            & (pl.col("l_shipdate") < pl.col("l_commitdate"))
            & between("l_receiptdate", "1994-01-01", "1995-01-01")
        )
        .join(scan("orders"), left_on="l_orderkey", right_on="o_orderkey")
        .group_by("l_shipmode")
        .agg(high.sum().alias("high_line_count"), (~high).sum().alias("low_line_count"))
        .sort("l_shipmode")
    )


def query_13(scan):
    orders = scan("orders").filter(~pl.col("o_comment").str.contains("special.*requests"))
    return (
        scan("customer")
        .join(orders, left_on="c_custkey", right_on="o_custkey", how="left")
        .group_by("c_custkey")
        .agg(pl.count("o_orderkey").alias("c_count"))
        .group_by("c_count")
        .agg(pl.len().alias("custdist"))
        .sort("custdist", "c_count", descending=True)
    )


def query_14(scan):
    promoted = pl.when(pl.col("p_type").str.starts_with("PROMO")).then(REVENUE).otherwise(0.0)
    return (
        scan("lineitem")
        .filter(between("l_shipdate", "1995-09-01", "1995-10-01"))
        .join(scan("part"), left_on="l_partkey", right_on="p_partkey")
        .select((100.0 * promoted.sum() / REVENUE.sum()).alias("promo_revenue"))
    )


def query_15(scan):
    totals = (
        scan("lineitem")
        .filter(between("l_shipdate", "1996-01-01", "1996-04-01"))
        .group_by("l_suppkey")
        # rounded: a sum of floats depends on the order of its terms, and may be done twice
        .agg(REVENUE.sum().round(4).alias("total_revenue"))
        .filter(pl.col("total_revenue") == pl.max("total_revenue"))
    )
    return (
        scan("supplier")
        .join(totals, left_on="s_suppkey", right_on="l_suppkey")
        .select("s_suppkey", "s_name", "s_address", "s_phone", "total_revenue")
        .sort("s_suppkey")
    )


def query_16(scan):
    complained = scan("supplier").filter(pl.col("s_comment").str.contains("Customer.*Complaints"))
    return (
        scan("part")
        .filter(
            (pl.col("p_brand") != "Brand#45")
            & ~pl.col("p_type").str.starts_with("MEDIUM POLISHED")
            & pl.col("p_size").is_in([49, 14, 23, 45, 19, 3, 36, 9])
        )
        .join(scan("partsupp"), left_on="p_partkey", right_on="ps_partkey")
        .join(complained, left_on="ps_suppkey", right_on="s_suppkey", how="anti")
        .group_by("p_brand", "p_type", "p_size")
        .agg(pl.n_unique("ps_suppkey").alias("supplier_cnt"))
        .sort("supplier_cnt", "p_brand", "p_type", "p_size", descending=[True, False, False, False])
    )


def query_17(scan):
    part = scan("part").filter((pl.col("p_brand") == "Brand#23") & (pl.col("p_container") == "MED BOX"))
    average = scan("lineitem").group_by("l_partkey").agg(pl.mean("l_quantity").alias("average"))
    return (
        scan("lineitem")
        .join(part, left_on="l_partkey", right_on="p_partkey", how="semi")
        .join(average, on="l_partkey")
        .filter(pl.col("l_quantity") < 0.2 * pl.col("average"))
        .select((pl.sum("l_extendedprice") / 7.0).alias("avg_yearly"))
    )


def query_18(scan):
    large = scan("lineitem").group_by("l_orderkey").agg(pl.sum("l_quantity")).filter(pl.col("l_quantity") > 300)
    return (
        scan("orders")
        .join(large, left_on="o_orderkey", right_on="l_orderkey", how="semi")
        .join(scan("lineitem"), left_on="o_orderkey", right_on="l_orderkey")
        .join(scan("customer"), left_on="o_custkey", right_on="c_custkey")
        .group_by("c_name", pl.col("o_custkey").alias("c_custkey"), "o_orderkey", "o_orderdate", "o_totalprice")
        .agg(pl.sum("l_quantity").alias("sum_quantity"))
        .sort("o_totalprice", "o_orderdate", descending=[True, False])
        .head(100)
    )


def query_19(scan):
    def wanted(brand, containers, least, most, size):
        return (
            (pl.col("p_brand") == brand)
            & pl.col("p_container").is_in(containers)
            & pl.col("l_quantity").is_between(least, most)
            & pl.col("p_size").is_between(1, size)
        )

    return (
        scan("lineitem")
        .filter(pl.col("l_shipmode").is_in(["AIR", "AIR REG"]) & (pl.col("l_shipinstruct") == "DELIVER IN PERSON"))
        .join(scan("part"), left_on="l_partkey", right_on="p_partkey")
        .filter(
            wanted("Brand#12", ["SM CASE", "SM BOX", "SM PACK", "SM PKG"], 1, 11, 5)
            | wanted("Brand#23", ["MED BAG", "MED BOX", "MED PKG", "MED PACK"], 10, 20, 10)
            | wanted("Brand#34", ["LG CASE", "LG BOX", "LG PACK", "LG PKG"], 20, 30, 15)
        )
        .select(REVENUE.sum().alias("revenue"))
    )


def query_20(scan):
    shipped = (
        scan("lineitem")
        .filter(between("l_shipdate", "1994-01-01", "1995-01-01"))
        .group_by("l_partkey", "l_suppkey")
        .agg(pl.sum("l_quantity"))
    )
    stock = (
        scan("partsupp")
        .join(
            scan("part").filter(pl.col("p_name").str.starts_with("forest")),
            left_on="ps_partkey",
            right_on="p_partkey",
            how="semi",
        )
        .join(shipped, left_on=["ps_partkey", "ps_suppkey"], right_on=["l_partkey", "l_suppkey"])
        .filter(pl.col("ps_availqty") > 0.5 * pl.col("l_quantity"))
    )
    return (
        scan("supplier")
        .join(
            scan("nation").filter(pl.col("n_name") == "CANADA"),
            left_on="s_nationkey",
            right_on="n_nationkey",
            how="semi",
        )
        .join(stock, left_on="s_suppkey", right_on="ps_suppkey", how="semi")
        .select("s_name", "s_address")
        .sort("s_name")
    )


def query_21(scan):
    lines = scan("lineitem")
    late = lines.filter(pl.col("l_receiptdate") > pl.col("l_commitdate"))
    several = lines.group_by("l_orderkey").agg(pl.n_unique("l_suppkey").alias("suppliers"))
    late_suppliers = late.group_by("l_orderkey").agg(pl.n_unique("l_suppkey").alias("late_suppliers"))
    # of an order with several suppliers, the one that alone was late
    return (
        late.join(several.filter(pl.col("suppliers") > 1), on="l_orderkey", how="semi")
        .join(late_suppliers.filter(pl.col("late_suppliers") == 1), on="l_orderkey", how="semi")
        .join(scan("supplier"), left_on="l_suppkey", right_on="s_suppkey")
        .join(
            scan("nation").filter(pl.col("n_name") == "SAUDI ARABIA"),
            left_on="s_nationkey",
            right_on="n_nationkey",
            how="semi",
        )
        .join(
            scan("orders").filter(pl.col("o_orderstatus") == "F"),
            left_on="l_orderkey",
            right_on="o_orderkey",
            how="semi",
        )
        .group_by("s_name")
        .agg(pl.len().alias("numwait"))
        .sort("numwait", "s_name", descending=[True, False])
        .head(100)
    )


def query_22(scan):
    customers = (
        scan("customer")
        .with_columns(pl.col("c_phone").str.slice(0, 2).alias("cntrycode"))
        .filter(pl.col("cntrycode").is_in(["13", "31", "23", "29", "30", "18", "17"]))
    )
    average = customers.filter(pl.col("c_acctbal") > 0.0).select(pl.mean("c_acctbal").alias("average"))
    return (
        customers.join(average, how="cross")
        .filter(pl.col("c_acctbal") > pl.col("average"))
        .join(scan("orders"), left_on="c_custkey", right_on="o_custkey", how="anti")
        .group_by("cntrycode")
        .agg(pl.len().alias("numcust"), pl.sum("c_acctbal").alias("totacctbal"))
        .sort("cntrycode")
    )
