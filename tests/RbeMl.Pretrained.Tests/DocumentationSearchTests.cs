using System.Runtime.InteropServices;
using System.Xml.Linq;
using Microsoft.Extensions.VectorData;
using RbeMl.Extensions.AI;
using RbeMl.Extensions.AI.Tests.Hosting;
using Xunit.Abstractions;

namespace RbeMl.Pretrained.Tests;

/// <summary>
/// Search by meaning over the SDK's documentation, as an application does it: a vector store, our generator, MiniLM. Texts are the names
/// and summaries of types; questions are asked in other words, and have one right answer.
/// </summary>
/// <param name="models">The models.</param>
/// <param name="output">Shows the ranks.</param>
[Collection(nameof(PretrainedModels))]
public sealed class DocumentationSearchTests(PretrainedModels models, ITestOutputHelper output)
{
    private static readonly string[] s_namespaces =
    [
        "System", "System.Collections.Generic", "System.Diagnostics", "System.Globalization", "System.IO", "System.IO.Compression", "System.Net.Http",
        "System.Numerics", "System.Security.Cryptography", "System.Text", "System.Text.RegularExpressions", "System.Threading",
    ];

    private static readonly (string Question, string Answer)[] s_questions =
    [
        ("a collection where what was added first comes out first", "System.Collections.Generic.Queue`1"),
        ("make an id that nobody else in the world has", "System.Guid"),
        ("measure how much time an operation takes", "System.Diagnostics.Stopwatch"),
        ("items that leave in the order of their priority", "System.Collections.Generic.PriorityQueue`2"),
        ("make a stream smaller with gzip", "System.IO.Compression.GZipStream"),
        ("start and stop other programs of this machine", "System.Diagnostics.Process"),
        ("numbers with a real and an imaginary part", "System.Numerics.Complex"),
        ("send a request to a web server and get its answer", "System.Net.Http.HttpClient"),
        ("be notified when files in a folder change", "System.IO.FileSystemWatcher"),
        ("whole numbers of any size", "System.Numerics.BigInteger"),
    ];

    [Fact]
    public async Task Questions_find_their_types()
    {
        using RbeEmbeddingGenerator generator = RbeEmbeddingGenerator.Load(models.OnnxOf(PretrainedModels.MiniLM));
        using InMemoryCollection collection = new(generator);
        TextRecord[] types = [.. Types()];
        await collection.UpsertAsync(types);
        int first = 0, ten = 0;
        foreach ((string question, string answer) in s_questions)
        {
            Assert.Contains(types, type => type.Key == answer);
            List<VectorSearchResult<TextRecord>> found = await collection.SearchAsync(question, types.Length).ToListAsync();
            int rank = 1 + found.FindIndex(result => result.Record.Key == answer);
            output.WriteLine($"{rank,4}  {question}: {answer} ({found[rank - 1].Score:F3}), first {found[0].Record.Key} ({found[0].Score:F3})");
            if (rank == 1) first++;
            if (rank <= 10) ten++;
        }

        output.WriteLine($"{first} first, {ten} among ten, of {s_questions.Length} questions over {types.Length} types");
        Assert.InRange(first, 8, s_questions.Length);
        Assert.InRange(ten, 9, s_questions.Length);
    }

    private static IEnumerable<TextRecord> Types()
    {
        string pack = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", "packs", "Microsoft.NETCore.App.Ref"));
        string version = Directory.GetDirectories(pack).Order(StringComparer.Ordinal).Last();
        foreach (string file in Directory.EnumerateFiles(version, "*.xml", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
        {
            foreach (XElement member in XDocument.Load(file).Descendants("member"))
            {
                string name = (string)member.Attribute("name")!;
                string? summary = member.Element("summary")?.Value;
                bool wanted = name.StartsWith("T:", StringComparison.Ordinal) && s_namespaces.Contains(name[2..name.LastIndexOf('.')]);
                if (!wanted || summary is null) continue;
                string text = string.Join(' ', summary.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
                yield return new TextRecord { Key = name[2..], Text = $"{name[(name.LastIndexOf('.') + 1)..].Split('`')[0]}: {text}" };
            }
        }
    }
}
