"""Console pages, under /{workspace}/{project}/{environment}/."""

from django.urls import path

from campaigns.views import actions, books, campaigns, evidence, overview, plan, templates, trials

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("campaigns/", campaigns.campaign_list, name="campaign-list"),
    path("campaigns/new/", campaigns.campaign_new, name="campaign-new"),
    path("campaigns/<str:campaign>/", campaigns.campaign_detail, name="campaign-detail"),
    path("campaigns/<str:campaign>/edit/", campaigns.campaign_edit, name="campaign-edit"),
    path("campaigns/<str:campaign>/plan/", plan.campaign_plan, name="campaign-plan"),
    path("campaigns/<str:campaign>/live/", campaigns.campaign_live, name="campaign-live"),
    path("campaigns/<str:campaign>/chart/", campaigns.campaign_chart, name="campaign-chart"),
    path("campaigns/<str:campaign>/launch/", actions.campaign_launch, name="campaign-launch"),
    path("campaigns/<str:campaign>/schedule/", actions.campaign_schedule, name="campaign-schedule"),
    path("campaigns/<str:campaign>/unschedule/", actions.campaign_unschedule, name="campaign-unschedule"),
    path("campaigns/<str:campaign>/pause/", actions.campaign_pause, name="campaign-pause"),
    path("campaigns/<str:campaign>/resume/", actions.campaign_resume, name="campaign-resume"),
    path("campaigns/<str:campaign>/cancel/", actions.campaign_cancel, name="campaign-cancel"),
    path("campaigns/<str:campaign>/copy/", actions.campaign_copy, name="campaign-copy"),
    path("campaigns/<str:campaign>/delete/", actions.campaign_delete, name="campaign-delete"),
    path("campaigns/<str:campaign>/fix/", actions.campaign_fix, name="campaign-fix"),
    path("campaigns/<str:campaign>/recipients/", evidence.campaign_recipients, name="campaign-recipients"),
    path("campaigns/<str:campaign>/recipients.csv", evidence.campaign_recipients_csv, name="campaign-recipients-csv"),
    path("campaigns/<str:campaign>/books/", evidence.campaign_books, name="campaign-books"),
    path("campaigns/<str:campaign>/books.csv", evidence.campaign_books_csv, name="campaign-books-csv"),
    path("campaigns/<str:campaign>/books.json", evidence.campaign_books_json, name="campaign-books-json"),
    path("campaigns/<str:campaign>/books/people/", books.campaign_books_people, name="campaign-books-people"),
    path("campaigns/<str:campaign>/books/report/", books.campaign_report, name="campaign-report"),
    path("reconciliation/", evidence.reconciliation, name="reconciliation"),
    path("reconciliation/<str:difference>/", books.break_detail, name="break-detail"),
    path("reconciliation/<str:difference>/assign/", books.break_assign, name="break-assign"),
    path("reconciliation/<str:difference>/resolve/", books.break_resolve, name="break-resolve"),
    path("templates/", templates.template_list, name="template-list"),
    path("templates/new/", templates.template_new, name="template-new"),
    path("templates/copy/", templates.template_copy, name="template-copy"),
    path("templates/frame/<str:token>/", templates.template_frame, name="template-frame"),
    path("templates/seeds/", trials.seed_lists, name="seed-lists"),
    path("templates/<str:template>/test/", trials.template_test, name="template-test"),
    path("templates/<str:template>/", templates.template_detail, name="template-detail"),
    path("templates/<str:template>/versions/<int:number>/", templates.template_version, name="template-version"),
]
