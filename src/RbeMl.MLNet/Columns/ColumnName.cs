namespace RbeMl.MLNet.Columns;

/// <summary>Checks the names of columns when an estimator is made.</summary>
internal static class ColumnName
{
    /// <summary>Refuses a name that is null or empty.</summary>
    /// <param name="setting">The setting that holds it.</param>
    /// <param name="name">The name.</param>
    /// <exception cref="InvalidSettingException">It is null or empty.</exception>
    public static void Check(string setting, string? name)
    {
        if (string.IsNullOrEmpty(name)) throw new InvalidSettingException(setting, name is null ? "null" : "\"\"", "give the name of a column.");
    }
}
