namespace RbeMl.Tests.Architecture;

/// <summary>What breaks a rule and is known to. The lists may only shrink: what is no longer found must leave them.</summary>
internal static class Exceptions
{
    /// <summary>Requires what is found to be what is listed.</summary>
    /// <param name="rule">The rule, for the message.</param>
    /// <param name="found">What breaks it now.</param>
    /// <param name="known">What may, and why.</param>
    public static void Check(string rule, IEnumerable<string> found, params (string What, string Why)[] known)
    {
        string[] now = [.. found.Distinct().Order(StringComparer.Ordinal)];
        string[] fresh = [.. now.Except(known.Select(k => k.What))], gone = [.. known.Select(k => k.What).Except(now)];
        Assert.True(fresh.Length == 0, $"{rule}\nBreaks it:\n{string.Join('\n', fresh)}");
        Assert.True(gone.Length == 0, $"{rule}\nNo longer breaks it, strike it from the list of exceptions:\n{string.Join('\n', gone)}");
        Assert.All(known, k => Assert.NotEmpty(k.Why));
    }
}
