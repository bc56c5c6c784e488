namespace RbeMl.Tests.Support;

/// <summary>Real files to measure on. They are not part of the repository: tests that need them are skipped without them.</summary>
internal static class SharedData
{
    /// <summary>The folder: <c>RBEML_SHARED_DATA</c>, or <c>../shared/data</c> seen from the repository; null when there is none.</summary>
    public static string? Folder { get; } = Find();

    /// <summary>The path of a file of the folder.</summary>
    public static string PathOf(params string[] parts) => Path.Combine([Folder ?? throw new InvalidOperationException("no ../shared/data"), .. parts]);

    private static string? Find()
    {
        string? folder = Environment.GetEnvironmentVariable("RBEML_SHARED_DATA");
        for (DirectoryInfo? d = new(AppContext.BaseDirectory); string.IsNullOrEmpty(folder) && d is not null; d = d.Parent)
        {
            if (File.Exists(Path.Combine(d.FullName, "RbeMl.sln"))) folder = Path.Combine(d.FullName, "..", "shared", "data");
        }

        return Directory.Exists(folder) ? Path.GetFullPath(folder) : null;
    }
}

/// <summary>A test that needs <see cref="SharedData"/>.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class SharedDataFactAttribute : FactAttribute
{
    /// <summary>Skips the test without the data.</summary>
    public SharedDataFactAttribute()
    {
        if (SharedData.Folder is null)
        {
            Skip = "needs trained weights that are not part of the repository: put them into ../shared/data or name their folder in RBEML_SHARED_DATA";
        }
    }
}
