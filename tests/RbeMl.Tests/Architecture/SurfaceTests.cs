using System.Text;
using RbeMl.Extensions.AI;
using RbeMl.Layers;
using RbeMl.MLNet.LanguageModels;
using RbeMl.Mpi;
using RbeMl.Tests.Files;

namespace RbeMl.Tests.Architecture;

/// <summary>The public types are those of a list: one more is a decision.</summary>
public sealed class SurfaceTests
{
    /// <summary>Compares with PublicTypes.txt beside this file. Run with RBEML_WRITE_PUBLIC_TYPES=1 to write it anew.</summary>
    [Fact]
    public void Public_types_are_those_of_the_list()
    {
        string[] now =
        [
            .. new[] { typeof(TransformerConfig).Assembly, typeof(LanguageModelOptions).Assembly, typeof(RbeChatClient).Assembly,
                typeof(MpiCollective).Assembly }
                .SelectMany(assembly => assembly.GetExportedTypes()).Where(type => !type.IsNested)
                .Select(type => type.FullName!).Order(StringComparer.Ordinal),
        ];
        if (Environment.GetEnvironmentVariable("RBEML_WRITE_PUBLIC_TYPES") == "1")
        {
            File.WriteAllLines(Path.Combine(SourceTree.Instance.Root, "tests/RbeMl.Tests/Architecture/PublicTypes.txt"), now);
            return;
        }

        string[] listed = Encoding.UTF8.GetString(FixtureTests.Read("PublicTypes.txt"))
            .Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        Assert.Equal(listed, now);
    }
}
