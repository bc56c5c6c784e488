using System.Globalization;

namespace RbeMl.Cli.Output;

/// <summary>Numbers for people, the same in every country.</summary>
internal static class Format
{
    public static string Count(double value) => value.ToString("N0", CultureInfo.InvariantCulture);

    /// <summary>"1 token", "1,234 tokens".</summary>
    /// <param name="count">How many.</param>
    /// <param name="one">What one is called.</param>
    /// <param name="more">What several are called; null for the same with an s.</param>
    public static string Count(double count, string one, string? more = null) => $"{Count(count)} {(count == 1 ? one : more ?? one + "s")}";

    public static string Loss(double value) => value.ToString("F4", CultureInfo.InvariantCulture);

    public static string Bytes(double bytes) => bytes switch
    {
        >= 1 << 30 => (bytes / (1 << 30)).ToString("F2", CultureInfo.InvariantCulture) + " GiB",
        >= 1 << 20 => (bytes / (1 << 20)).ToString("F1", CultureInfo.InvariantCulture) + " MiB",
        >= 1 << 10 => (bytes / (1 << 10)).ToString("F1", CultureInfo.InvariantCulture) + " KiB",
        _ => Count(bytes) + " B",
    };

    public static string Percent(double fraction) => (100 * fraction).ToString("F1", CultureInfo.InvariantCulture) + " %";

    public static string Time(TimeSpan time) => time.TotalHours >= 1
        ? time.ToString(@"h\:mm\:ss", CultureInfo.InvariantCulture)
        : time.ToString(@"m\:ss", CultureInfo.InvariantCulture);

    /// <summary>Time left, from the time that a fraction of the work took; empty before there is any.</summary>
    public static string Left(double done, TimeSpan elapsed) => done > 0 ? Time(elapsed * ((1 - done) / done)) + " left" : "";

    /// <summary>A figure with a few digits that count.</summary>
    public static string Figure(double value) => value.ToString("G4", CultureInfo.InvariantCulture);

    /// <summary>A time in the units people count it in: 9.9 s, 1 min 45 s, 2 h 3 min.</summary>
    public static string Seconds(double seconds)
    {
        if (seconds < 59.95) return seconds.ToString("F1", CultureInfo.InvariantCulture) + " s";
        TimeSpan time = TimeSpan.FromSeconds(Math.Round(seconds));
        return time.TotalHours < 1
            ? string.Create(CultureInfo.InvariantCulture, $"{time.Minutes} min {time.Seconds} s")
            : string.Create(CultureInfo.InvariantCulture, $"{(long)time.TotalHours} h {time.Minutes} min");
    }

    /// <summary>exp of a loss, one digit after the point: 6.6.</summary>
    public static string Perplexity(double loss) => Math.Exp(loss).ToString("N1", CultureInfo.InvariantCulture);
}
